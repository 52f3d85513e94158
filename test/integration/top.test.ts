import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run, TestEngine, until } from '../support/engine.ts';

/*
 * `docker top` by the docker CLI and the API, held against what the host's own ps prints.
 */
let engine: TestEngine;

beforeAll(async () => {
  engine = await TestEngine.start('--bridge', 'none');
  await engine.importBusybox();
  await engine.dockerOk('run', '-d', '--name', 'box', 'busybox', 'sh', '-c', 'sleep 1000 & exec sleep "2000"  3000');
  await engine.dockerOk('create', '--name', 'still', 'busybox', 'true');
  await until(async () => (await engine.dockerOk('top', 'box')).split('\n').length === 3);
});

afterAll(async () => {
  await engine.dockerOk('rm', '-f', 'box', 'still');
  await engine[Symbol.asyncDispose]();
});

async function top(query: string): Promise<{ readonly Titles: readonly string[]; readonly Processes: string[][] }> {
  const { status, json } = await engine.api('GET', `/v1.41/containers/box/top${query}`);
  expect(status).toBe(200);
  return json as Awaited<ReturnType<typeof top>>;
}

describe('docker top', () => {
  it('shows what ps -ef shows, without ps', async () => {
    const { Titles, Processes } = await top('');
    expect(Titles).toEqual(['UID', 'PID', 'PPID', 'C', 'STIME', 'TTY', 'TIME', 'CMD']);
    const pids = Processes.map(([, pid = '']) => pid);
    const { stdout } = await run('ps', ['-f', `-q${pids.join(',')}`], {});
    const rows = stdout.trimEnd().split('\n').slice(1);
    expect(Processes.map((row) => row.join(' '))).toEqual(rows.map((row) => row.replaceAll(/ +/g, ' ').trimEnd()));
    expect(Processes.map((row) => row.at(-1))).toEqual(['sleep 2000 3000', 'sleep 1000']);
  });

  it.each([
    ['aux', ['USER', 'PID', '%CPU', '%MEM', 'VSZ', 'RSS', 'TTY', 'STAT', 'START', 'TIME', 'COMMAND']],
    ['-o pid,cmd', ['PID', 'CMD']],
    ['-eo user,pid,args', ['USER', 'PID', 'COMMAND']],
    ['axf', ['PID', 'TTY', 'STAT', 'TIME', 'COMMAND']],
  ])('asks the host for %s', async (words, titles) => {
    const { Titles, Processes } = await top(`?ps_args=${encodeURIComponent(words)}`);
    expect(Titles).toEqual(titles);
    expect(Processes).toHaveLength(2);
    expect(Processes.map((row) => row.at(-1)?.replace(/^[ \\_|]+/, ''))).toEqual(
      expect.arrayContaining(['sleep 2000 3000', 'sleep 1000']),
    );
  });

  it('says what cannot be', async () => {
    const message = async (name: string, words: string): Promise<unknown> => {
      const { status, json } = await engine.api('GET', `/containers/${name}/top?ps_args=${encodeURIComponent(words)}`);
      return [status, (json as { readonly message: string }).message.replace(/[0-9a-f]{64}/, 'ID')];
    };
    expect(await message('still', '')).toEqual([409, 'container ID is not running']);
    expect(await message('none', '')).toEqual([404, 'No such container: none']);
    expect(await message('box', '-o cmd')).toEqual([500, "Couldn't find PID field in ps output"]);
    expect(await message('box', '--nix')).toEqual([500, 'ps: error: unknown gnu long option']);
    expect(await message('box', '-o pid -o comm=PID')).toEqual([400, 'specifying "comm=PID" is not allowed']);
    expect((await engine.docker(['top', 'still'])).stderr).toContain('is not running');
  });

  it('shows what is paused', async () => {
    await engine.dockerOk('pause', 'box');
    expect((await top('')).Processes).toHaveLength(2);
    await engine.dockerOk('unpause', 'box');
  });
});
