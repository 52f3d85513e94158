import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseHosts } from '../../../src/service/hosts.ts';
import { isLogLevel } from '../../../src/service/log.ts';
import { takePidFile } from '../../../src/service/pidfile.ts';

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'moored-service-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

describe('-H', () => {
  it.each([
    ['unix:///run/x.sock', { kind: 'unix', path: '/run/x.sock' }],
    ['unix://', { kind: 'unix', path: '/var/run/docker.sock' }],
    ['tcp://127.0.0.1:2376', { kind: 'tcp', host: '127.0.0.1', port: 2376 }],
    ['tcp://[::1]:99', { kind: 'tcp', host: '::1', port: 99 }],
    ['tcp://:99', { kind: 'tcp', host: 'localhost', port: 99 }],
    ['0.0.0.0:99', { kind: 'tcp', host: '0.0.0.0', port: 99 }],
    ['fd://', { kind: 'fd' }],
  ])('%s', (text, address) => {
    expect(parseHosts([text])).toEqual([address]);
  });

  it('falls back to Docker’s socket and refuses other schemes', () => {
    expect(parseHosts([])).toEqual([{ kind: 'unix', path: '/var/run/docker.sock' }]);
    expect(() => parseHosts(['http://x'])).toThrow('unable to parse docker host `http://x`');
    expect(() => parseHosts(['tcp://x:99999'])).toThrow('invalid bind address');
  });
});

describe('pid file', () => {
  it('is written, and removed when given back', () => {
    const path = join(directory, 'a', 'pid');
    {
      using _taken = takePidFile(path);
      expect(readFileSync(path, 'utf8')).toBe(String(process.pid));
    }
    expect(existsSync(path)).toBe(false);
  });

  it('of a living engine keeps another one out, a stale one does not', async () => {
    const path = join(directory, 'pid');
    const named = spawn('sleep', ['60'], { argv0: 'moored' });
    try {
      writeFileSync(path, String(named.pid));
      expect(() => takePidFile(path)).toThrow(`process with PID ${String(named.pid)} is still running`);
      // The pid of a program that is no engine was reused.
      writeFileSync(path, '1');
      takePidFile(path)[Symbol.dispose]();
      writeFileSync(path, 'nonsense');
      takePidFile(path)[Symbol.dispose]();
    } finally {
      const ended = once(named, 'exit');
      named.kill('SIGKILL');
      await ended;
    }
  });
});

describe('log levels', () => {
  it('are dockerd’s', () => {
    expect(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'panic'].every(isLogLevel)).toBe(true);
    expect(isLogLevel('loud')).toBe(false);
  });
});
