/** A client of the interface for tests: containers by name, streams by descriptor, signals in the order they came. */
import { readdirSync } from 'node:fs';
import { Socket } from 'node:net';
import type { BusConnection } from '../../src/dbus/bus/connection.ts';
import type { Variant } from '../../src/dbus/bus/exported.ts';
import { ROOT, SERVICE } from '../../src/dbus/names.ts';
import type { PrivateBus } from './private-bus.ts';

const OBJECT_MANAGER = 'org.freedesktop.DBus.ObjectManager';
const PROPERTIES = 'org.freedesktop.DBus.Properties';

const SIGNALS = [
  [OBJECT_MANAGER, 'InterfacesAdded'],
  [OBJECT_MANAGER, 'InterfacesRemoved'],
  [PROPERTIES, 'PropertiesChanged'],
  [`${SERVICE}.Container`, 'Exited'],
  [`${SERVICE}.Exec`, 'Exited'],
] as const;

/** A signal of the engine. */
export interface SeenSignal {
  readonly path: string;
  readonly member: string;
  readonly body: readonly unknown[];
}

export class BusClient {
  readonly connection: BusConnection;
  /** Signals of the engine, and `reply` where a call of ours was answered, in order. */
  readonly seen: SeenSignal[] = [];

  private constructor(connection: BusConnection) {
    this.connection = connection;
  }

  static async connect(bus: PrivateBus): Promise<BusClient> {
    return BusClient.on(await bus.connect());
  }

  static async on(connection: BusConnection): Promise<BusClient> {
    const client = new BusClient(connection);
    for (const [name, member] of SIGNALS) {
      await connection.match({ sender: SERVICE, interface: name, member }, ({ path = '', body }) => {
        client.seen.push({ path, member, body });
      });
    }
    return client;
  }

  /** Calls a method of a container or, with a longer path, of an exec. */
  async call(
    path: string,
    member: string,
    signature = '',
    body: readonly unknown[] = [],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<readonly unknown[]> {
    const noun = path.includes('/exec/') ? 'Exec' : path.includes('/job/') ? 'Job' : 'Container';
    const reply = await this.connection.call({
      destination: SERVICE,
      path,
      interface: `${SERVICE}.${noun}`,
      member,
      signature,
      body,
      takesFds: true,
      ...options,
    });
    this.seen.push({ path, member: 'reply', body: reply });
    return reply;
  }

  /** Opens what a method returns a descriptor of. */
  async open(path: string, member: string, signature = '', body: readonly unknown[] = []): Promise<BusStream> {
    const [fd, ...rest] = await this.call(path, member, signature, body);
    return new BusStream(fd as number, rest);
  }

  async properties(path: string, noun = 'Container'): Promise<Record<string, unknown>> {
    const [values] = await this.connection.call({
      destination: SERVICE,
      path,
      interface: PROPERTIES,
      member: 'GetAll',
      signature: 's',
      body: [`${SERVICE}.${noun}`],
    });
    const given = values as Readonly<Record<string, Variant>>;
    return Object.fromEntries(Object.entries(given).map(([name, { value }]) => [name, value]));
  }

  /** Paths of all objects below a kind: `container`, `job`. */
  async paths(kind: string): Promise<readonly string[]> {
    const [objects] = await this.connection.call({
      destination: SERVICE,
      path: ROOT,
      interface: OBJECT_MANAGER,
      member: 'GetManagedObjects',
    });
    return Object.keys(objects as object).filter((path) => path.startsWith(`${ROOT}/${kind}/`));
  }

  /** Changed properties that were announced for an object, in order. */
  changes(path: string): readonly Record<string, unknown>[] {
    return this.seen
      .filter((signal) => signal.path === path && signal.member === 'PropertiesChanged')
      .map(({ body }) =>
        Object.fromEntries(
          Object.entries(body[1] as Record<string, Variant>).map(([name, { value }]) => [name, value]),
        ),
      );
  }
}

/** Our end of a stream. */
export class BusStream {
  readonly socket: Socket;
  /** What was returned beside the descriptor. */
  readonly rest: readonly unknown[];
  readonly ended: Promise<void>;
  readonly #chunks: Buffer[] = [];

  constructor(fd: number, rest: readonly unknown[]) {
    this.rest = rest;
    this.socket = new Socket({ fd, allowHalfOpen: true });
    this.socket.on('data', (chunk: Buffer) => this.#chunks.push(chunk));
    this.socket.on('error', () => undefined);
    this.ended = new Promise((resolve) => {
      this.socket.on('end', () => {
        this.socket.destroy();
        resolve();
      });
    });
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  get text(): string {
    return this.bytes.toString();
  }
}

/** How many descriptors a process holds. */
export function descriptorsOf(pid: number): number {
  return readdirSync(`/proc/${String(pid)}/fd`).length;
}
