/** Unix datagrams and inherited descriptors on the real kernel. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fd } from '../../src/engine/kernel/kernel.ts';
import { createLinuxKernel } from '../../src/engine/kernel/linux/index.ts';
import { DatagramPeer } from '../support/datagram-peer.ts';

const { sockets } = createLinuxKernel();
let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'moored-datagrams-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

describe('datagrams', () => {
  it.each([
    ['a path', () => join(directory, 'socket')],
    ['an abstract name', () => `@moored-test-${String(process.pid)}`],
  ])('arrive at %s whole and in order', (_name, addressOf) => {
    const address = addressOf();
    using peer = new DatagramPeer(address);
    using socket = sockets.openDatagrams();
    socket.send(address, Buffer.from('READY=1\nSTATUS=ö'));
    socket.send(address, Buffer.from([0, 1, 255]));
    expect(peer.receive()?.toString()).toBe('READY=1\nSTATUS=ö');
    expect(peer.receive()).toEqual(Buffer.from([0, 1, 255]));
    expect(peer.receive()).toBeNull();
  });

  it('that are too long go as a sealed file', () => {
    const address = join(directory, 'big');
    using peer = new DatagramPeer(address);
    using socket = sockets.openDatagrams();
    const payload = Buffer.alloc(20_000_000, 'x');
    expect(() => socket.send(address, payload)).toThrow(expect.objectContaining({ code: 'EMSGSIZE' }));
    socket.sendAsFile(address, payload);
    expect(peer.receive()?.equals(payload)).toBe(true);
  });

  it('take a descriptor along, which stays open here', () => {
    const address = join(directory, 'with');
    using peer = new DatagramPeer(address);
    using socket = sockets.openDatagrams();
    writeFileSync(join(directory, 'file'), 'content');
    const file = openSync(join(directory, 'file'), 'r');
    socket.sendWith(address, Buffer.from('FDSTORE=1'), file as Fd);
    // The peer shows a message with a descriptor as what that one reads.
    expect(peer.receive()?.toString()).toBe('content');
    closeSync(file);
    expect(() => socket.sendWith(address, Buffer.from('x'), -1 as Fd)).toThrow(/sendmsg/);
  });

  it('tell at once when nobody is there or the queue is full', () => {
    using socket = sockets.openDatagrams();
    const line = Buffer.from('x');
    expect(() => socket.send(join(directory, 'none'), line)).toThrow(expect.objectContaining({ code: 'ENOENT' }));
    expect(() => socket.send(`/${'x'.repeat(200)}`, line)).toThrow(/sendto/);
    const address = join(directory, 'full');
    const peer = new DatagramPeer(address);
    expect(() => {
      for (let count = 0; count < 10_000; count++) socket.send(address, line);
    }).toThrow(expect.objectContaining({ code: 'EAGAIN' }));
    peer[Symbol.dispose]();
    expect(() => socket.send(address, line)).toThrow(expect.objectContaining({ code: 'ECONNREFUSED' }));
  });
});

it('an inherited descriptor is kept from programs', () => {
  const fd = openSync('/dev/null', 'r') as Fd;
  const flags = (): string =>
    /^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${String(fd)}`, 'utf8'))?.[1] ?? '';
  sockets.closeOnExec(fd);
  expect(parseInt(flags(), 8) & 0o2000000).toBe(0o2000000);
  closeSync(fd);
});
