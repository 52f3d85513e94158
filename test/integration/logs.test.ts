import { spawn } from 'node:child_process';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine, until } from '../support/engine.ts';
import { RawClient } from '../support/raw-client.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await TestEngine.start();
  await engine.importBusybox();
});
afterEach(async () => {
  await engine.removeContainers();
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
});

const COUNT = 'i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; [ $((i % 10)) = 0 ] && sleep 0.01; done; true';

async function run(name: string, options: readonly string[], ...command: readonly string[]): Promise<void> {
  await engine.dockerOk('run', '-d', '--name', name, '--network', 'none', ...options, 'busybox', ...command);
}

/** Follows a log with times until the stream ends, from `since` on; lines without what a cut left half. */
async function follow(name: string, since: string | null): Promise<readonly string[]> {
  const args = ['logs', '-f', '-t', ...(since === null ? [] : ['--since', since]), name];
  const child = spawn('docker', args, { env: engine.cliEnvironment, stdio: ['ignore', 'pipe', 'ignore'] });
  const chunks: Buffer[] = [];
  for await (const chunk of child.stdout) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString().split('\n').slice(0, -1);
}

describe('logs', () => {
  it('lose and double no line over rotations and a killed daemon, for one who comes back with since', async () => {
    await run('numbered', ['--log-opt', 'max-size=20k', '--log-opt', 'max-file=50'], 'sh', '-c', COUNT);
    const seen: string[] = [];
    const first = follow('numbered', null);
    await until(async () => (await engine.dockerOk('logs', '--tail', '1', 'numbered')) !== '');
    await engine.end('SIGKILL');
    await engine.boot();
    seen.push(...(await first));
    const last = seen.at(-1)?.split(' ')[0] ?? null;
    // What was written in the same instant as the last line that was heard comes again.
    const known = new Set(seen);
    seen.push(...(await follow('numbered', last)).filter((line) => !known.has(line)));
    const numbers = seen.map((line) => Number(line.split(' ')[2]));
    expect(numbers).toEqual(Array.from({ length: 3000 }, (_, i) => i + 1));
  });

  it('end with the container, begin with nothing where that is asked for, and select by time', async () => {
    await run('short', [], 'sh', '-c', 'echo before; until [ -e /go ]; do sleep 0.05; done; echo after');
    await until(async () => (await engine.dockerOk('logs', 'short')) === 'before');
    const late = await RawClient.open(engine.socketPath);
    late.socket.write('GET /containers/short/logs?follow=1&stdout=1&tail=0 HTTP/1.0\r\n\r\n');
    // It listens as soon as it is answered.
    expect(await late.head()).toContain('200');
    await engine.dockerOk('exec', 'short', 'touch', '/go');
    expect(await engine.dockerOk('logs', '-f', 'short')).toBe('before\nafter');
    expect((await late.ended()).body.toString('latin1')).toMatch(/^[^a-z]*after\n$/);
    const [before = '', after = ''] = (await engine.dockerOk('logs', '-t', 'short'))
      .split('\n')
      .map((line) => line.split(' ')[0] ?? '');
    expect(before).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
    expect(await engine.dockerOk('logs', '--since', after, 'short')).toBe('after');
    expect(await engine.dockerOk('logs', '--until', before, 'short')).toBe('before');
    expect(await engine.dockerOk('logs', '-n', '1', 'short')).toBe('after');
  });

  it('keep a line longer than any buffer whole', async () => {
    await run('long', [], 'sh', '-c', 'head -c 100000 /dev/zero | tr "\\\\0" x; echo; echo end');
    await engine.dockerOk('wait', 'long');
    expect(await engine.dockerOk('logs', 'long')).toBe(`${'x'.repeat(100_000)}\nend`);
    expect(await engine.dockerOk('logs', '--tail', '2', 'long')).toBe(`${'x'.repeat(100_000)}\nend`);
  });

  it('go on over restarts of the container', async () => {
    await run('again', ['--restart', 'on-failure:3'], 'sh', '-c', 'echo round; exit 1');
    await until(async () => (await engine.dockerOk('inspect', '-f', '{{.State.Status}}', 'again')) === 'exited');
    expect(await engine.dockerOk('logs', '-f', 'again')).toBe('round\nround\nround\nround');
  });
});
