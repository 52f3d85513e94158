/** Descriptors through real sockets: order, ownership, back-pressure, no leaks. */
import { once } from 'node:events';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { createDescriptorCalls, makeSocketPair } from '../../src/engine/kernel/linux/descriptors.ts';
import { LinuxDescriptorStream } from '../../src/engine/kernel/linux/descriptor-stream.ts';
import { PATIENCE } from '../support/patience.ts';

const calls = createDescriptorCalls();
const directory = mkdtempSync(join(tmpdir(), 'descriptors-'));
afterAll(() => rmSync(directory, { recursive: true }));

const openFds = (): number => readdirSync('/proc/self/fd').length;

/** Both ends of a socket pair; what arrives at `far` is gathered. */
function pair() {
  const [near, far] = makeSocketPair().map((fd) => new LinuxDescriptorStream(fd)) as [
    LinuxDescriptorStream,
    LinuxDescriptorStream,
  ];
  const got: Buffer[] = [];
  const fds: number[] = [];
  const ended = Promise.withResolvers<Error | null>();
  far.open({
    data: (bytes, more) => {
      got.push(bytes);
      fds.push(...more);
    },
    end: (error) => ended.resolve(error),
  });
  const nearEnded = Promise.withResolvers<Error | null>();
  near.open({ data: () => undefined, end: (error) => nearEnded.resolve(error) });
  return { near, far, got, fds, ended: ended.promise, nearEnded: nearEnded.promise };
}

/** A file with its own number in it, so that a mix-up shows. */
function numbered(index: number): number {
  const path = join(directory, 'numbered');
  writeFileSync(path, String(index).padStart(8, '0'));
  const fd = openSync(path, 'r');
  rmSync(path);
  return fd;
}

describe('streams that carry descriptors', () => {
  it('keeps order and pairs over thousands of messages', async () => {
    const before = openFds();
    const { near, far, got, fds } = pair();
    const expected: string[] = [];
    const carried: number[] = [];
    for (let index = 0; index < 3000; index++) {
      const message = Buffer.alloc(1 + ((index * 37) % 2000), index % 251);
      message.writeUInt8(index % 251);
      expected.push(message.toString('hex'));
      const own = index % 7 === 0 ? [numbered(index), numbered(index + 100_000)] : [];
      if (own.length > 0) carried.push(index, index + 100_000);
      near.send(message, own);
      // More than the kernel lets be in flight at once would be its limit, not ours.
      if (index % 200 === 199) await vi.waitFor(() => expect(near.queuedBytes).toBe(0), PATIENCE);
    }
    await vi.waitFor(() => expect(Buffer.concat(got).length).toBe(expected.join('').length / 2), PATIENCE);
    expect(Buffer.concat(got).toString('hex') === expected.join('')).toBe(true);
    const numbers = fds.map((fd) => {
      const bytes = Buffer.alloc(8);
      readSync(fd, bytes);
      closeSync(fd);
      return Number(bytes.toString());
    });
    expect(numbers).toEqual(carried);
    near[Symbol.dispose]();
    far[Symbol.dispose]();
    expect(openFds()).toBe(before);
  });

  it('sends what is larger than any buffer, and says how much waits', async () => {
    const { near, got, far } = pair();
    const big = Buffer.alloc(8 * 1024 * 1024, 'abcdefg');
    near.send(big);
    near.send(Buffer.from('end'));
    expect(near.queuedBytes).toBe(big.length + 3);
    await vi.waitFor(() => expect(near.queuedBytes).toBe(0), PATIENCE);
    await vi.waitFor(() => expect(Buffer.concat(got).length).toBe(big.length + 3), PATIENCE);
    expect(Buffer.concat(got).equals(Buffer.concat([big, Buffer.from('end')]))).toBe(true);
    near[Symbol.dispose]();
    far[Symbol.dispose]();
  });

  it('keeps what a peer that does not read has not taken', async () => {
    const [ours, theirs] = makeSocketPair();
    const near = new LinuxDescriptorStream(ours);
    near.open({ data: () => undefined, end: () => undefined });
    near.send(Buffer.alloc(4 * 1024 * 1024));
    await vi.waitFor(() => expect(near.queuedBytes).toBeLessThan(4 * 1024 * 1024), PATIENCE);
    expect(near.queuedBytes).toBeGreaterThan(0);
    near[Symbol.dispose]();
    closeSync(theirs);
  });

  it('closes descriptors that never left', async () => {
    const before = openFds();
    const [ours, theirs] = makeSocketPair();
    const near = new LinuxDescriptorStream(ours);
    near.open({ data: () => undefined, end: () => undefined });
    near.send(Buffer.alloc(4 * 1024 * 1024));
    near.send(Buffer.from('x'), [numbered(1)]);
    near[Symbol.dispose]();
    near.send(Buffer.from('x'), [numbered(2)]);
    closeSync(theirs);
    expect(openFds()).toBe(before);
  });

  it('tells the end of its peer, and sends all before it finishes', async () => {
    const { near, got, ended } = pair();
    near.send(Buffer.alloc(2 * 1024 * 1024, 1));
    near.finish();
    expect(await ended).toBeNull();
    expect(Buffer.concat(got)).toHaveLength(2 * 1024 * 1024);
  });

  it('tells of a peer that closed while it sends', async () => {
    const { near, far, nearEnded } = pair();
    far[Symbol.dispose]();
    near.send(Buffer.from('x'));
    // Either call may see it first: the reader the end, the writer EPIPE.
    await expect(nearEnded).resolves.toSatisfy(
      (error: Error | null) => error === null || error.message.includes('EPIPE'),
    );
  });

  it('connects to paths and abstract names, and says why it cannot', async () => {
    const path = join(directory, 'listener');
    for (const address of [path, `\0moored-test-${String(process.pid)}`]) {
      const server = createServer((socket) => socket.end('hello')).listen(address);
      await once(server, 'listening');
      const stream = calls.connect(address);
      const received = Promise.withResolvers<string>();
      stream.open({ data: (bytes) => received.resolve(bytes.toString()), end: () => undefined });
      expect(await received.promise).toBe('hello');
      stream[Symbol.dispose]();
      server.close();
      await once(server, 'close');
    }
    expect(() => calls.connect(join(directory, 'nobody'))).toThrow(/^connect .*nobody.*ENOENT/);
    expect(() => calls.connect(`/${'x'.repeat(200)}`)).toThrow('ENAMETOOLONG');
  });
});

describe('descriptors to hand out and to take over', () => {
  it('makes a pipe whose reading end tells the end', async () => {
    const before = openFds();
    const { fd, output } = calls.openPipe();
    output.end('through the pipe');
    expect(await text(calls.read(fd))).toBe('through the pipe');
    await vi.waitFor(() => expect(openFds()).toBe(before), PATIENCE);
  });

  it('makes a socket pair whose halves close one by one', async () => {
    const before = openFds();
    const { fd, stream } = calls.openSocketPair();
    const theirs = calls.write(fd);
    theirs.end('question');
    expect(await text(stream)).toBe('question');
    stream.destroy();
    await vi.waitFor(() => expect(openFds()).toBe(before), PATIENCE);
  });

  it('reads and writes regular files from where they stand, and closes them', async () => {
    const before = openFds();
    const path = join(directory, 'regular');
    writeFileSync(path, 'skip the rest');
    const source = openSync(path, 'r');
    readSync(source, Buffer.alloc(5));
    expect(await text(calls.read(source))).toBe('the rest');
    const target = calls.write(openSync(path, 'w'));
    target.end('new');
    await once(target, 'close');
    expect(readFileSync(path, 'utf8')).toBe('new');
    const sink = calls.write(openSync('/dev/null', 'w'));
    sink.end('x');
    await once(sink, 'close');
    await vi.waitFor(() => expect(openFds()).toBe(before), PATIENCE);
  });

  it('refuses what is no stream, and closes it', () => {
    const before = openFds();
    const fd = openSync(directory, 'r');
    expect(() => writeSync(fd, 'x')).toThrow('EBADF');
    calls.close(fd);
    calls.close(fd);
    expect(() => calls.read(fd)).toThrow('EBADF');
    expect(openFds()).toBe(before);
  });
});
