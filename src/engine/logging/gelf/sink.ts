import type { Clock } from '../../../base/clock.ts';
import type { HostPort } from '../options/address.ts';
import type { LogSink, SinkSpec } from '../sink.ts';
import { UdpTarget } from '../transport/datagrams.ts';
import { StreamTarget } from '../transport/streams.ts';
import { gelfMessage, gelfPackets, type GelfCompression } from './message.ts';

const BATCH_BYTES = 64 * 1024;
const UDP_RETRY_MS = 1000;
/** What ends a message on a stream. */
const END = Buffer.from([0]);

export interface GelfSpec extends SinkSpec {
  readonly kind: 'gelf';
  readonly place: { readonly kind: 'udp' | 'tcp' } & HostPort;
  readonly compression: GelfCompression;
  readonly level: number;
  /** Pause between attempts to connect. */
  readonly retryMs: number;
  /** Fields of every message: the inside of a JSON object. */
  readonly extra: string;
}

export function openGelfSink({ place, compression, level, retryMs, extra }: GelfSpec, clock: Clock): LogSink {
  const { host, port } = place;
  const common = { batchBytes: BATCH_BYTES, mark: '' };
  if (place.kind === 'udp') {
    const target = new UdpTarget({ host, port }, clock);
    return {
      ...common,
      retry: { firstMs: UDP_RETRY_MS, attempts: null },
      async ship(entries) {
        const messages = entries.filter(isSent).map((entry) => gelfMessage(entry, extra));
        await target.sendAll(messages.flatMap((message) => gelfPackets(message, compression, level)));
        return entries.length;
      },
      [Symbol.asyncDispose]: async () => target[Symbol.dispose](),
    };
  }
  const target = new StreamTarget({ kind: 'tcp', host, port });
  return {
    ...common,
    retry: { firstMs: retryMs, attempts: null },
    async ship(entries) {
      await target.send(Buffer.concat(entries.filter(isSent).flatMap((entry) => [gelfMessage(entry, extra), END])));
      return entries.length;
    },
    [Symbol.asyncDispose]: async () => target[Symbol.dispose](),
  };
}

/** GELF wants a text in each message; dockerd sends none for an empty line. */
function isSent({ start, end }: { readonly start: number; readonly end: number }): boolean {
  return end > start;
}
