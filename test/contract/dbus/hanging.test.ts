/** A bus that lets one in and then says nothing: neither the start nor the end of the daemon waits for it. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeMessage } from '../../../src/dbus/bus/wire/message.ts';
import { startBareFront } from '../../support/bus-front.ts';

/** What the daemon grants it, with room for a busy machine; libdbus would wait 25 s for each answer. */
const BOUND_MS = 15_000;

describe('a bus that hangs', () => {
  let directory: string;
  let server: Server;
  const sockets: Socket[] = [];

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'hanging-bus-'));
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    server.close();
    await once(server, 'close');
    rmSync(directory, { recursive: true, force: true });
  });

  async function listen(onBytes: (bytes: Buffer, socket: Socket) => void): Promise<string> {
    server = createServer((socket) => {
      sockets.push(socket);
      socket.on('data', (bytes: Buffer) => onBytes(bytes, socket)).on('error', () => undefined);
    });
    server.listen(join(directory, 'bus'));
    await once(server, 'listening');
    return `unix:path=${join(directory, 'bus')}`;
  }

  async function lifeMs(address: string): Promise<number> {
    const began = performance.now();
    const front = await startBareFront(address);
    expect(() => front.session.connection).toThrow('no connection');
    await front[Symbol.asyncDispose]();
    return performance.now() - began;
  }

  it('says nothing at all', { timeout: 4 * BOUND_MS }, async () => {
    expect(await lifeMs(await listen(() => undefined))).toBeLessThan(BOUND_MS);
  });

  it('authenticates and says nothing more', { timeout: 4 * BOUND_MS }, async () => {
    const said: string[] = [];
    const address = await listen((bytes, socket) => {
      const text = bytes.toString('latin1');
      said.push(text);
      if (text.includes('AUTH EXTERNAL')) socket.write('OK 0123456789abcdef0123456789abcdef\r\n');
      if (text.includes('NEGOTIATE_UNIX_FD')) socket.write('AGREE_UNIX_FD\r\n');
    });
    expect(await lifeMs(address)).toBeLessThan(BOUND_MS);
    expect(said.join('')).toContain('Hello');
  });

  it('greets and says nothing more', { timeout: 4 * BOUND_MS }, async () => {
    const address = await listen((bytes, socket) => {
      const text = bytes.toString('latin1');
      if (text.includes('AUTH EXTERNAL')) socket.write('OK 0123456789abcdef0123456789abcdef\r\n');
      if (text.includes('NEGOTIATE_UNIX_FD')) socket.write('AGREE_UNIX_FD\r\n');
      if (text.includes('Hello')) socket.write(HELLO_REPLY);
    });
    expect(await lifeMs(address)).toBeLessThan(BOUND_MS);
  });
});

/** The reply to the first call: the unique name `:1.7`. */
const HELLO_REPLY = encodeMessage({ type: 'return', replySerial: 1, signature: 's', body: [':1.7'] }, 1).bytes;
