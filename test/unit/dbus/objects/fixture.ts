import { readdirSync } from 'node:fs';
import { Socket } from 'node:net';
import { createDocuments } from '../../../../src/api/documents.ts';
import { SystemClock } from '../../../../src/base/clock.ts';
import { silentLogger } from '../../../../src/base/logger.ts';
import type { Dictionary } from '../../../../src/dbus/bus/dictionary.ts';
import { JobRegistry } from '../../../../src/dbus/jobs/job-registry.ts';
import { mirrorContainers } from '../../../../src/dbus/objects/container.ts';
import { pathOf } from '../../../../src/dbus/names.ts';
import { OpenStreams } from '../../../../src/dbus/bus/open-streams.ts';
import { createDescriptorCalls } from '../../../../src/engine/kernel/linux/descriptors.ts';
import type { ContainerSpec } from '../../../../src/engine/index.ts';
import { exampleSpec } from '../../../support/container-spec.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { FakeEngine } from '../../../support/fake-engine.ts';
import { callOf, RecordingTree } from '../../../support/recording-tree.ts';

/** After this long what has not happened will not. */
const PATIENCE_MS = 20_000;

/** The mirror over the fake engine, with the kernel's own sockets. */
export class MirrorFixture implements Disposable {
  readonly clock = new FakeClock();
  readonly engine = new FakeEngine(this.clock);
  readonly tree = new RecordingTree();
  readonly descriptors = createDescriptorCalls();
  readonly jobs = new JobRegistry({ tree: this.tree, clock: new SystemClock(), logger: silentLogger });
  readonly streams = new OpenStreams({
    descriptors: this.descriptors,
    clock: this.clock,
    logger: silentLogger,
  });
  readonly #mirror: { readonly start: () => Disposable; running: Disposable | null };
  readonly #peers: Peer[] = [];

  constructor() {
    const { clock, engine, tree, descriptors, jobs, streams } = this;
    const words = createDocuments({ engine, clock, build: { version: '1', gitCommit: '', buildTime: '' } });
    this.#mirror = {
      start: () => mirrorContainers({ engine, tree, jobs, descriptors, streams, words, logger: silentLogger }),
      running: null,
    };
  }

  /** Begins to mirror; containers may be there already. */
  start(): this {
    this.#mirror.running = this.#mirror.start();
    return this;
  }

  /** Makes a container; returns its path. */
  async create(command: readonly string[] = ['sleep'], change: Partial<ContainerSpec> = {}, name = 'web') {
    const spec = { ...exampleSpec(), ...change, image: 'busybox', command };
    const { id } = await this.engine.containers.create({ name, spec, frontDocument: null });
    return pathOf('container', id);
  }

  async run(command: readonly string[] = ['sleep'], change: Partial<ContainerSpec> = {}, name = 'web') {
    const path = await this.create(command, change, name);
    await this.engine.containers.start(name);
    return path;
  }

  call(path: string, member: string, ...args: readonly unknown[]): Promise<readonly unknown[]> {
    return this.tree.call(path, member, args, callOf());
  }

  callAs(signal: AbortSignal, path: string, member: string, ...args: readonly unknown[]) {
    return this.tree.call(path, member, args, callOf({ signal }));
  }

  /** The client's side of a descriptor that a method returned. */
  async open(path: string, member: string, ...args: readonly unknown[]): Promise<Peer> {
    const [fd] = await this.call(path, member, ...args);
    const peer = new Peer(fd as number);
    this.#peers.push(peer);
    return peer;
  }

  /** Changed properties that were announced for an object, in order. */
  changes(path: string): readonly Record<string, unknown>[] {
    return this.tree.announced.filter((one) => one.path === path && one.kind === 'changed').map(({ values }) => values);
  }

  [Symbol.dispose](): void {
    this.#mirror.running?.[Symbol.dispose]();
    this.streams[Symbol.dispose]();
    for (const { socket } of this.#peers) socket.destroy();
  }
}

/** A client's end of a stream. */
export class Peer {
  readonly socket: Socket;
  readonly #chunks: Buffer[] = [];
  readonly ended: Promise<string>;

  constructor(fd: number) {
    this.socket = new Socket({ fd, allowHalfOpen: true });
    this.socket.on('data', (chunk: Buffer) => this.#chunks.push(chunk));
    this.socket.on('error', () => undefined);
    this.ended = new Promise((resolve) => {
      this.socket.on('end', () => resolve(this.text));
    });
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  get text(): string {
    return this.bytes.toString();
  }
}

export const NO_OPTIONS: Dictionary = {};

/** Descriptors of this process. */
export function descriptorCount(): number {
  return readdirSync('/proc/self/fd').length;
}

/** Lets the event loop turn until `condition` holds. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`it never came to pass: ${condition.toString()}`);
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
}
