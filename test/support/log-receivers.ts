/** Receivers of container logs, as syslog, GELF and Fluentd servers are on the wire. Each is gone after `await using`. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { gunzipSync, inflateSync } from 'node:zlib';
import { decodeMulti, encode, ExtData, type ExtensionCodec } from '@msgpack/msgpack';

/** Bytes as they came over one connection after the other. */
export interface StreamReceiver extends AsyncDisposable {
  readonly port: number;
  text(): string;
  bytes(): Buffer;
  connections(): number;
  /** Cuts all connections, and takes no more until `listen`. */
  away(): Promise<void>;
  listen(): Promise<void>;
}

/** Where a stream receiver listens. */
export interface StreamReceiverOptions {
  readonly path?: string;
  readonly tls?: { readonly key: string | Buffer; readonly cert: string | Buffer };
  /** Reads nothing until it is told to. */
  readonly isDeaf?: boolean;
  /** Told of all bytes of a connection so far, after each that come. */
  readonly onData?: (socket: Socket, bytes: Buffer) => void;
}

export async function startStreamReceiver(options: StreamReceiverOptions = {}): Promise<StreamReceiver> {
  const { path, tls, onData } = options;
  const sockets = new Set<Socket>();
  const chunks: Buffer[] = [];
  let count = 0;
  let port = 0;
  const take = (socket: Socket): void => {
    count += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    if (options.isDeaf === true) {
      socket.pause();
      return;
    }
    let mine: Buffer = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      if (onData === undefined) return;
      mine = Buffer.concat([mine, chunk]);
      onData(socket, mine);
    });
  };
  let server: Server;
  const listen = async (): Promise<void> => {
    server = tls === undefined ? createServer(take) : createTlsServer(tls, take);
    server.listen(path === undefined ? { port, host: '127.0.0.1' } : { path });
    await once(server, 'listening');
    const address = server.address();
    if (address !== null && typeof address === 'object') port = address.port;
  };
  const away = async (): Promise<void> => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  await listen();
  return {
    get port() {
      return port;
    },
    text: () => Buffer.concat(chunks).toString(),
    bytes: () => Buffer.concat(chunks),
    connections: () => count,
    away,
    listen,
    [Symbol.asyncDispose]: away,
  };
}

/** UDP packets. */
export interface PacketReceiver extends AsyncDisposable {
  readonly port: number;
  packets(): readonly Buffer[];
}

export async function startPacketReceiver(port = 0): Promise<PacketReceiver> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 4 * 1024 * 1024 });
  const packets: Buffer[] = [];
  socket.on('message', (packet) => packets.push(packet));
  socket.bind(port, '127.0.0.1');
  await once(socket, 'listening');
  return {
    port: socket.address().port,
    packets: () => packets,
    [Symbol.asyncDispose]: async () => {
      await new Promise<void>((resolve) => {
        socket.close(resolve);
      });
    },
  };
}

/** GELF messages out of datagrams: chunks put together, then unpacked. */
export function gelfMessagesOf(packets: readonly Buffer[]): readonly Readonly<Record<string, unknown>>[] {
  const chunks = new Map<string, Buffer[]>();
  const messages: Buffer[] = [];
  for (const packet of packets) {
    if (packet[0] !== 0x1e || packet[1] !== 0x0f) {
      messages.push(packet);
      continue;
    }
    const name = packet.toString('hex', 2, 10);
    const parts = chunks.get(name) ?? [];
    parts[packet[10] ?? 0] = packet.subarray(12);
    chunks.set(name, parts);
    if (Object.keys(parts).length === packet[11]) messages.push(Buffer.concat(parts));
  }
  return messages.map((message) => JSON.parse(unpacked(message).toString()) as Record<string, unknown>);
}

function unpacked(message: Buffer): Buffer {
  if (message[0] === 0x1f) return gunzipSync(message);
  return message[0] === 0x78 ? inflateSync(message) : message;
}

/** One event as Fluentd sees it. */
export interface ForwardEvent {
  readonly tag: string;
  readonly time: number | { readonly seconds: number; readonly nanoseconds: number };
  readonly record: Readonly<Record<string, unknown>>;
  readonly option: Readonly<Record<string, unknown>> | null | undefined;
}

/** What came over one connection of the forward protocol; half a message at the end is left out. */
export function forwardEventsOf(bytes: Buffer): readonly ForwardEvent[] {
  const events: ForwardEvent[] = [];
  try {
    for (const message of decodeMulti(bytes, { extensionCodec: EVENT_TIMES })) {
      const [tag, second, third, fourth] = message as readonly unknown[];
      if (Array.isArray(second)) {
        for (const [time, record] of second as readonly [ForwardEvent['time'], ForwardEvent['record']][]) {
          events.push({ tag: String(tag), time, record, option: third as ForwardEvent['option'] });
        }
      } else {
        const time = second as ForwardEvent['time'];
        events.push({
          tag: String(tag),
          time,
          record: third as ForwardEvent['record'],
          option: fourth as ForwardEvent['option'],
        });
      }
    }
  } catch {
    // The rest is on its way.
  }
  return events;
}

/** Confirms each chunk that asks for it, once. */
export function confirming(): (socket: Socket, bytes: Buffer) => void {
  const confirmed = new Set<string>();
  return (socket, bytes) => {
    for (const { option } of forwardEventsOf(bytes)) {
      const chunk = option?.['chunk'];
      if (typeof chunk !== 'string' || confirmed.has(chunk)) continue;
      confirmed.add(chunk);
      socket.write(encode({ ack: chunk }));
    }
  };
}

const EVENT_TIMES = {
  tryToEncode: () => null,
  decode: (data: Uint8Array, type: number) => {
    if (type !== 0) return new ExtData(type, data);
    const view = Buffer.from(data);
    return { seconds: view.readUInt32BE(0), nanoseconds: view.readUInt32BE(4) };
  },
} as unknown as ExtensionCodec;
