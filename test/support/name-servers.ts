/** Sandboxes without containers, clients inside them, and name servers that answer as a test says. */
import { randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decode, encode } from 'dns-packet';
import type { DecodedPacket, Packet } from 'dns-packet';
import type { ContainerId } from '../../src/base/ids.ts';
import type { Fd, Kernel } from '../../src/engine/kernel/kernel.ts';
import { createInternetCalls } from '../../src/engine/kernel/linux/internet-sockets.ts';
import { FrameReader, framed } from '../../src/engine/network/dns/framed.ts';
import { Wakes } from '../../src/engine/network/dns/wakes.ts';
import { run, type CommandResult } from './engine.ts';

const internet = createInternetCalls();

/** How a question came. */
export type Way = 'udp' | 'tcp';
/** What a server says to a question: messages as they go over the wire, in order. */
export type Behaviour = (question: DecodedPacket, way: Way) => readonly Buffer[];

/** A network namespace as a container has it. */
export class TestSandbox implements Disposable {
  readonly containerId: ContainerId;
  readonly netnsPath: string;
  readonly netns: Fd;
  readonly #kernel: Kernel;
  readonly #folder: string;

  constructor(kernel: Kernel, ...addresses: readonly string[]) {
    this.#kernel = kernel;
    this.containerId = randomBytes(32).toString('hex') as ContainerId;
    this.#folder = mkdtempSync(join(tmpdir(), 'dns-sandbox-'));
    mkdirSync(this.#folder, { recursive: true });
    this.netnsPath = join(this.#folder, 'netns');
    kernel.namespaces.createNetns(this.netnsPath);
    this.netns = kernel.namespaces.openNetns(this.netnsPath);
    using route = kernel.openRoute(this.netns);
    const loopback = route.linkByName('lo');
    if (loopback === null) throw new Error('no loopback link');
    route.changeLink(loopback.index, { up: true });
    for (const address of addresses) route.addAddress(loopback.index, address);
  }

  /** Makes sockets inside. */
  inside<T>(job: () => T): T {
    return this.#kernel.namespaces.within(this.netns, job);
  }

  /** Runs a program inside. */
  async run(...argv: readonly string[]): Promise<CommandResult> {
    return await run('nsenter', [`--net=${this.netnsPath}`, ...argv], {});
  }

  [Symbol.dispose](): void {
    closeSync(this.netns);
    this.#kernel.namespaces.removeNetns(this.netnsPath);
    rmSync(this.#folder, { recursive: true });
  }
}

/** A name server on port 53 of an address, UDP and TCP, in the namespace where it is made. */
export class FakeServer implements Disposable {
  /** What it was asked, in order. */
  readonly asked: { readonly name: string; readonly type: string; readonly way: Way }[] = [];
  behaviour: Behaviour;
  readonly #wakes = new Wakes(internet);
  readonly #fds: Fd[] = [];
  readonly #connections = new Set<Socket>();

  constructor(address: string, behaviour: Behaviour) {
    this.behaviour = behaviour;
    const udp = internet.bind({ protocol: 'udp', address, port: 53 });
    const tcp = internet.bind({ protocol: 'tcp', address, port: 53 });
    internet.listen(tcp, 16);
    this.#fds.push(udp, tcp);
    this.#wakes.on(udp, () => {
      const datagram = internet.receiveFrom(udp);
      if (datagram === null) return;
      const { peer, destination } = datagram;
      for (const bytes of this.#answer(datagram.bytes, 'udp')) internet.sendTo(udp, bytes, { peer, destination });
    });
    this.#wakes.on(tcp, () => this.#accept(tcp));
  }

  [Symbol.dispose](): void {
    this.#wakes[Symbol.dispose]();
    for (const connection of this.#connections) connection.destroy();
    internet.close(this.#fds);
  }

  #accept(listener: Fd): void {
    const fd = internet.accept(listener);
    if (fd === null) return;
    const connection = new Socket({ fd, readable: true, writable: true });
    this.#connections.add(connection);
    const reader = new FrameReader();
    connection.on('error', () => undefined).on('close', () => this.#connections.delete(connection));
    connection.on('data', (chunk: Buffer) => {
      for (const message of reader.take(chunk)) {
        for (const bytes of this.#answer(message, 'tcp')) connection.write(framed(bytes));
      }
    });
  }

  #answer(bytes: Buffer, way: Way): readonly Buffer[] {
    const question = decode(Buffer.from(bytes));
    const [asked] = question.questions ?? [];
    this.asked.push({ name: asked?.name ?? '', type: asked?.type ?? '', way });
    return this.behaviour(question, way);
  }
}

/** An answer to a question, with what a test changes of it. */
export function replyTo(question: DecodedPacket, changes: Packet = {}): Buffer {
  const { id, questions } = question;
  return encode({ type: 'response', id, flags: 0x0180, questions, ...changes });
}

/** A server that has one address for every name. */
export function alwaysSays(address: string): Behaviour {
  return (question) => {
    const name = question.questions?.[0]?.name ?? '';
    return [replyTo(question, { answers: [{ type: 'A', name, ttl: 30, data: address }] })];
  };
}

/** Asks 127.0.0.11 from inside by one datagram; null when nobody answers in time. */
export async function askByUdp(sandbox: TestSandbox, bytes: Buffer, limitMs = 10_000): Promise<Buffer | null> {
  const fd = sandbox.inside(() => internet.connectDatagrams('127.0.0.11', 53));
  using wakes = new Wakes(internet);
  try {
    internet.send(fd, bytes);
    return await new Promise<Buffer | null>((resolve) => {
      const timer = setTimeout(() => resolve(null), limitMs);
      wakes.on(fd, () => {
        clearTimeout(timer);
        resolve(attempt(() => Buffer.from(internet.receive(fd) ?? Buffer.alloc(0))));
      });
    });
  } finally {
    internet.close([fd]);
  }
}

/** Sends datagrams from inside, and does not wait for answers. */
export function sendFrom(sandbox: TestSandbox, datagrams: readonly Buffer[]): void {
  const fd = sandbox.inside(() => internet.connectDatagrams('127.0.0.11', 53));
  for (const bytes of datagrams) attempt(() => internet.send(fd, bytes));
  internet.close([fd]);
}

/** Writes bytes on a connection from inside; what comes back until it ends, or until `enough`. */
export async function speakTcp(sandbox: TestSandbox, bytes: Buffer, enough: number): Promise<readonly Buffer[]> {
  const fd = sandbox.inside(() => internet.connectStream('127.0.0.11', 53));
  const connection = new Socket({ fd, readable: true, writable: true });
  const reader = new FrameReader();
  const messages: Buffer[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  connection.on('error', () => resolve()).on('close', () => resolve());
  connection.on('data', (chunk: Buffer) => {
    messages.push(...reader.take(chunk).map((message) => Buffer.from(message)));
    if (messages.length >= enough) resolve();
  });
  connection.write(bytes);
  await promise;
  connection.destroy();
  return messages;
}

function attempt<T>(job: () => T): T | null {
  try {
    return job();
  } catch {
    return null;
  }
}
