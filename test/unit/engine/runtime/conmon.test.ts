import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../../src/base/clock.ts';
import { AttachHub, type HubSurroundings } from '../../../../src/engine/runtime/conmon/attach.ts';
import { conmonArguments, type MonitorCommand } from '../../../../src/engine/runtime/conmon/command.ts';
import { ExitFiles, type ExitNote } from '../../../../src/engine/runtime/conmon/exits.ts';
import { RunDirectory } from '../../../../src/engine/runtime/conmon/run-directory.ts';
import { deleteInProcess, startByFifo } from '../../../../src/engine/runtime/crun-shortcuts.ts';
import { FakeRuntime } from '../../../support/fake-monitor.ts';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'conmon-'));
});

afterEach(() => rmSync(directory, { recursive: true }));

describe('conmon’s command line', () => {
  const command: MonitorCommand = {
    conmonPath: '/usr/bin/conmon',
    runtime: Object.assign(new FakeRuntime(), {
      program: { path: '/usr/bin/crun', globalArguments: ['--root', '/r'] },
    }),
    containerId: 'abc',
    unique: 'abc',
    bundlePath: '/b',
    runPath: '/m',
    exitsPath: '/x',
    logPath: '/l/log',
    terminal: false,
    stdin: false,
    keepStdinOpen: false,
    exec: null,
  };

  it('names the log, the runtime and where the exit code goes', () => {
    const words = conmonArguments(command);
    expect(words).toEqual(
      expect.arrayContaining([
        '--cid=abc',
        '--bundle=/b',
        '--exit-dir=/x',
        '--log-path=k8s-file:/l/log',
        '--runtime=/usr/bin/crun',
        '--runtime-arg=--root',
        '--runtime-arg=/r',
        '--full-attach',
      ]),
    );
    expect(words).not.toContain('--stdin');
    expect(words).not.toContain('--terminal');
  });

  it('leaves stdin open for a terminal, and where that was asked for', () => {
    const stays = (change: Partial<MonitorCommand>): boolean =>
      conmonArguments({ ...command, ...change }).includes('--leave-stdin-open');
    expect(stays({ stdin: true })).toBe(false);
    expect(stays({ stdin: true, keepStdinOpen: true })).toBe(true);
    expect(stays({ stdin: true, terminal: true })).toBe(true);
    expect(stays({ keepStdinOpen: true })).toBe(false);
  });

  it('runs an exec without a log, waiting for its client where that is asked for', () => {
    const exec = { processPath: '/m/process.json', attachFirst: true };
    const words = conmonArguments({ ...command, logPath: null, exitsPath: null, exec });
    expect(words).toEqual(expect.arrayContaining(['--exec', '--exec-attach', '--log-path=none']));
    expect(words.some((word) => word.startsWith('--exit-dir'))).toBe(false);
  });
});

describe('exit files', () => {
  const note = (files: ExitFiles, id: string): Promise<ExitNote> =>
    new Promise((resolve) => {
      files.expect(id, resolve);
    });

  it('are seen when they come, and when they are there already', async () => {
    using files = new ExitFiles(join(directory, 'exits'), new SystemClock());
    const coming = note(files, 'later');
    writeFileSync(join(directory, 'x'), '42');
    renameSync(join(directory, 'x'), join(files.path, 'later'));
    await expect(coming).resolves.toMatchObject({ exitCode: 42 });
    await expect(note(files, 'later')).resolves.toMatchObject({ exitCode: 42 });
    writeFileSync(join(files.path, 'later.9RU5Y3'), '');
    writeFileSync(join(files.path, 'late'), '0');
    files.remove('later');
    files.remove('later');
    expect(files.read('later')).toBeNull();
    // With what a killed monitor had half written; others' stay.
    expect(readdirSync(files.path)).toEqual(['late']);
    rmSync(files.path, { recursive: true });
    files.remove('late');
    expect(files.read('late')).toBeNull();
  });

  it('tell when the process ended, also long ago', () => {
    using files = new ExitFiles(join(directory, 'exits'), new SystemClock());
    writeFileSync(join(files.path, 'old'), '0');
    utimesSync(join(files.path, 'old'), 1_000_000, 1_000_000);
    expect(files.read('old')?.exitedAt).toBe(1_000_000_000_000_000n);
    writeFileSync(join(files.path, 'broken'), '');
    expect(files.read('broken')).toBeNull();
  });
});

describe('a run directory', () => {
  it('gives back what was noted, and nothing of what was not', () => {
    const run = new RunDirectory(join(directory, 'run'));
    expect(run.exists()).toBe(false);
    run.create();
    expect(run.description()).toBeNull();
    expect(run.processPid()).toBeNull();
    const nature = { terminal: true, stdin: true, keepStdinOpen: false };
    run.describe('/bundle', nature);
    expect(run.description()).toEqual({ bundlePath: '/bundle', nature });
    writeFileSync(join(run.path, 'pid'), '0\n');
    expect(run.processPid()).toBeNull();
    writeFileSync(join(run.path, 'pid'), '123');
    expect(run.processPid()).toBe(123);
    run.remove();
    run.remove();
    expect(run.exists()).toBe(false);
  });
});

describe('crun’s short cuts', () => {
  const gone = (): boolean => true;
  const host = {
    version: '1' as const,
    layout: 'hybrid' as const,
    mountPoints: new Map<string, string>(),
    unmounted: [],
  };

  it('do nothing with files that are not as known', () => {
    const state = join(directory, 'state');
    expect(startByFifo(state)).toBe(false);
    expect(deleteInProcess(state, host, gone)).toBe(false);
    mkdirSync(state);
    writeFileSync(join(state, 'config.json'), '{}');
    writeFileSync(join(state, 'exec.fifo'), '');
    expect(startByFifo(state)).toBe(false);
    expect(readFileSync(join(state, 'exec.fifo'), 'utf8')).toBe('');
    for (const status of ['', '{}', '[]', '{"pid":1,"cgroup-path":"/x","systemd-cgroup":true}']) {
      writeFileSync(join(state, 'status'), status);
      expect(deleteInProcess(state, host, gone)).toBe(false);
    }
  });

  it('leave containers with hooks, or with a process, to crun itself', () => {
    const state = join(directory, 'state');
    mkdirSync(state);
    writeFileSync(join(state, 'status'), '{"pid":1,"cgroup-path":"/x","systemd-cgroup":false}');
    writeFileSync(join(state, 'config.json'), '{"hooks":{}}');
    expect(deleteInProcess(state, host, gone)).toBe(false);
    writeFileSync(join(state, 'config.json'), '{}');
    expect(deleteInProcess(state, host, () => false)).toBe(false);
    expect(deleteInProcess(state, host, gone)).toBe(true);
  });
});

describe('sharing one attach connection', () => {
  const surroundings = (onClosing: () => void = () => undefined): HubSurroundings => ({
    clock: new SystemClock(),
    onClosing,
  });

  it('cuts input into packets conmon takes, never joined', async () => {
    const packets: Buffer[] = [];
    const socket = new PassThrough({ writableHighWaterMark: 1 });
    socket.write = ((chunk: Buffer, done: () => void) => {
      packets.push(Buffer.from(chunk));
      queueMicrotask(done);
      return true;
    }) as typeof socket.write;
    const hub = new AttachHub(socket, { stdin: true, closable: true }, surroundings());
    await hub.send(Buffer.alloc(100_000, 1));
    expect(packets.map(({ length }) => length)).toEqual([32_768, 32_768, 32_768, 1696]);
  });

  it('drops input of a process without stdin', async () => {
    const socket = new PassThrough();
    const hub = new AttachHub(socket, { stdin: false, closable: false }, surroundings());
    await hub.send(Buffer.from('lost'));
    expect(socket.writableLength + socket.readableLength).toBe(0);
  });

  it('settles every session when the connection breaks, and takes no more', async () => {
    const socket = new PassThrough();
    let closings = 0;
    const hub = new AttachHub(
      socket,
      { stdin: false, closable: false },
      surroundings(() => (closings += 1)),
    );
    const session = hub.join();
    const done = session.pipe({ write: () => undefined });
    socket.destroy(new Error('reset'));
    await done;
    expect(closings).toBe(1);
    expect(() => hub.join()).toThrow('process has ended');
  });
});
