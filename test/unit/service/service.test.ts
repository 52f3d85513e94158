import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { takePidFile } from '../../../src/service/pidfile.ts';

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'moored-service-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
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
