import { hostname } from 'node:os';
import type { HostPort } from '../options/address.ts';
import type { LogEntry, LogSink, SinkSpec } from '../sink.ts';
import { DatagramTarget, UdpTarget, type DatagramGround, type PacketTarget } from '../transport/datagrams.ts';
import { StreamTarget, type StreamPlace } from '../transport/streams.ts';
import { syslogMessage, type Sender, type SyslogFormat } from './format.ts';

const BATCH_BYTES = 64 * 1024;
const RETRY_MS = 1000;

/** Where messages go. */
export type SyslogPlace =
  StreamPlace | ({ readonly kind: 'udp' } & HostPort) | { readonly kind: 'datagrams'; readonly path: string };

export interface SyslogSpec extends SinkSpec {
  readonly kind: 'syslog';
  readonly place: SyslogPlace;
  readonly facility: number;
  readonly format: SyslogFormat;
  /** Each message is preceded by its length (RFC 5425). */
  readonly isFramed: boolean;
  readonly tag: string;
}

export function openSyslogSink({ place, ...spec }: SyslogSpec, ground: DatagramGround): LogSink {
  const sender: Sender = { ...spec, hostname: hostname(), pid: process.pid };
  const common = { batchBytes: BATCH_BYTES, retry: { firstMs: RETRY_MS, attempts: null }, mark: '' };
  if (place.kind === 'udp' || place.kind === 'datagrams') {
    const target = place.kind === 'udp' ? new UdpTarget(place, ground.clock) : new DatagramTarget(ground, place.path);
    return {
      ...common,
      ship: (entries) => shipPackets(target, sender, entries),
      [Symbol.asyncDispose]: async () => target[Symbol.dispose](),
    };
  }
  const target = new StreamTarget(place);
  return {
    ...common,
    async ship(entries) {
      const messages = entries.map((entry) => syslogMessage(sender, entry)).filter((message) => message !== null);
      await target.send(Buffer.concat(messages));
      return entries.length;
    },
    [Symbol.asyncDispose]: async () => target[Symbol.dispose](),
  };
}

/** A queue that is full has taken the first ones; where empty lines were left out, the count is of entries all the same. */
async function shipPackets(target: PacketTarget, sender: Sender, entries: readonly LogEntry[]): Promise<number> {
  const packets = entries.map((entry) => syslogMessage(sender, entry));
  const wanted = packets.filter((packet) => packet !== null);
  let left = await target.sendAll(wanted);
  if (left === wanted.length) return entries.length;
  let taken = 0;
  for (const packet of packets) {
    if (packet !== null && left === 0) break;
    if (packet !== null) left -= 1;
    taken += 1;
  }
  return taken;
}
