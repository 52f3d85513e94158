import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine, until } from '../support/engine.ts';

/*
 * What a client that knows dockerd relies on without saying so, and what must be gone after each of these.
 */
let engine: TestEngine;
beforeAll(async () => {
  engine = await TestEngine.start();
  await engine.importBusybox();
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
});

const refusal = async (...args: readonly string[]): Promise<string> => (await engine.docker(args)).stderr;
const listed = (path: string): readonly string[] => (existsSync(path) ? readdirSync(path) : []);
/** Names below all v1 hierarchies, or the unified one. */
const cgroupsOf = (id: string): readonly string[] =>
  [
    `/sys/fs/cgroup/docker/${id}`,
    ...listed('/sys/fs/cgroup').map((name) => `/sys/fs/cgroup/${name}/docker/${id}`),
  ].filter((path) => existsSync(path));

describe('inside a container', () => {
  it('is marked as one of Docker’s', async () => {
    expect(await engine.dockerOk('run', '--rm', '--read-only', 'busybox', 'stat', '-c', '%a %s', '/.dockerenv')).toBe(
      '755 0',
    );
  });

  it('tells old programs what is mounted, and neither a list of changes nor a commit shows it', async () => {
    await engine.dockerOk('run', '--name', 'old', 'busybox', 'grep', '-c', ' /proc proc ', '/etc/mtab');
    expect(await engine.dockerOk('diff', 'old')).toBe('');
    expect(await engine.dockerOk('ps', '-as', '--filter', 'name=old', '--format', '{{.Size}}')).toMatch(/^0B /);
    await engine.dockerOk('commit', 'old', 'old');
    expect(await engine.dockerOk('history', '--format', '{{.Size}}', 'old')).toMatch(/^0B\n/);
    await engine.dockerOk('rm', 'old');
    await engine.dockerOk('rmi', 'old');
  });

  it('has message queues in the host’s IPC namespace too', async () => {
    const mounts = await engine.dockerOk('run', '--rm', '--ipc', 'host', 'busybox', 'cat', '/proc/mounts');
    expect(mounts).toMatch(/^mqueue \/dev\/mqueue mqueue /m);
  });

  it('runs under runc as well', async () => {
    expect(await engine.dockerOk('run', '--rm', '--runtime', 'runc', 'busybox', 'echo', 'hi')).toBe('hi');
  });
});

describe('words', () => {
  it('does not make the CLI pull when a lender of volumes is missing', async () => {
    const said = await refusal('run', '--rm', '--volumes-from', 'nosuch', 'busybox', 'true');
    expect(said).toContain('No such container: nosuch');
    expect(said).not.toContain('Unable to find image');
  });

  it('names processors that are not there', async () => {
    expect(await refusal('run', '--rm', '--cpuset-cpus', '4077', 'busybox', 'true')).toMatch(
      /Requested CPUs are not available - requested 4077, available: [\d,-]+/,
    );
  });

  it('says that ports are not published in host mode', async () => {
    expect(await refusal('run', '--rm', '--network', 'host', '-p', '80', 'busybox', 'true')).toContain(
      'WARNING: Published ports are discarded when using host network mode',
    );
  });

  it('explains a name that cannot be had, and a signal that there is not', async () => {
    await engine.dockerOk('create', '--name', 'w1', 'busybox', 'true');
    const id = await engine.dockerOk('create', '--name', 'w2', 'busybox', 'true');
    expect(await refusal('rename', 'w1', 'w2')).toContain(
      `Error when allocating new name: Conflict. The container name "/w2" is already in use by container "${id}".`,
    );
    expect(await refusal('rename', 'w1', 'a b')).toContain(
      'Error when allocating new name: Invalid container name (/a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed',
    );
    expect(await refusal('kill', '-s', '99', 'w1')).toContain('the linux daemon does not support signal 99');
    await engine.dockerOk('rm', 'w1', 'w2');
  });
});

describe('events', () => {
  /** `type action` of all that happens while `job` runs. */
  const during = async (job: () => Promise<unknown>): Promise<readonly string[]> => {
    const since = String(Date.now() / 1000);
    await job();
    const printed = await engine.dockerOk(
      ...['events', '--since', since, '--until', String(Date.now() / 1000)],
      ...['--format', '{{.Type}} {{.Action}}'],
    );
    return printed.split('\n').filter((line) => line !== '');
  };

  it('tell of volumes where dockerd tells of them', async () => {
    const told = await during(() =>
      engine.dockerOk('run', '--rm', '-v', '/anon', '-v', 'ev1:/x:ro', 'busybox', 'true'),
    );
    expect(told).toEqual([
      'volume create',
      'volume create',
      'container create',
      'container attach',
      'network connect',
      'volume mount',
      'volume mount',
      'container start',
      'container die',
      'network disconnect',
      'volume unmount',
      'volume unmount',
      'volume destroy',
      'container destroy',
    ]);
    await engine.dockerOk('volume', 'rm', 'ev1');
  });

  it('tell of no end where nothing began', async () => {
    const told = await during(() => engine.docker(['run', '--network', 'none', '--name', 'ev2', 'busybox', 'nosuch']));
    expect(told).not.toContain('container start');
    expect(told).not.toContain('container die');
    await engine.dockerOk('rm', 'ev2');
  });
});

describe('afterwards', () => {
  it('nothing is left of execs', async () => {
    await engine.dockerOk('run', '-d', '--name', 'x1', 'busybox', 'sleep', '300');
    const execs = `${engine.root}/exec/monitor/execs`;
    const descriptors = (): number => readdirSync(`/proc/${String(engine.pid)}/fd`).length;
    await engine.dockerOk('exec', 'x1', 'true');
    await until(() => listed(execs).length === 0);
    const before = descriptors();
    for (let round = 0; round < 5; round++) {
      await engine.dockerOk('exec', 'x1', 'true');
      await engine.dockerOk('exec', '-d', 'x1', 'true');
    }
    await until(() => listed(execs).length === 0);
    await until(() => descriptors() <= before + 2);
    await engine.dockerOk('rm', '-f', 'x1');
  });

  it('a forced removal kills once', async () => {
    const id = await engine.dockerOk('run', '-d', 'busybox', 'sleep', '300');
    await engine.dockerOk('rm', '-f', id);
    const printed = await engine.dockerOk(
      'events',
      ...['--since', '0', '--until', String(Math.ceil(Date.now() / 1000) + 1)],
      ...['--filter', `container=${id}`, '--filter', 'event=kill', '--format', '{{.Action}}'],
    );
    expect(printed).toBe('kill');
  });

  it('no cgroup is left of a container whose process could not be made', async () => {
    // Too few descriptors for the runtime itself.
    const failing = ['create', '--ulimit', 'nofile=10:20', 'busybox', 'true'];
    const id = await engine.dockerOk(...failing);
    expect((await engine.docker(['start', id])).code).not.toBe(0);
    expect(cgroupsOf(id)).toEqual([]);
    await engine.dockerOk('rm', id);
  });

  it('what a daemon could not give back before it was killed, the next one does', async () => {
    const id = await engine.dockerOk('run', '-d', 'busybox', 'true');
    await engine.dockerOk('wait', id);
    const monitor = `${engine.root}/exec/monitor`;
    await until(() => listed(`${monitor}/tasks`).length === 0);
    await engine.end('SIGKILL');
    // As of a daemon that died between writing an exit down and taking its monitor away.
    const task = `${monitor}/tasks/${id}`;
    const bundle = `${engine.root}/exec/containers/${id}`;
    mkdirSync(task, { recursive: true });
    symlinkSync(bundle, `${task}/bundle`);
    writeFileSync(`${task}/task.json`, '{"terminal":false,"stdin":false,"keepStdinOpen":false}');
    writeFileSync(`${task}/pid`, '4194303');
    writeFileSync(`${monitor}/exits/${id}`, '0');
    mkdirSync(`${monitor}/execs/${'0'.repeat(64)}`, { recursive: true });
    await engine.boot();
    expect(listed(`${monitor}/tasks`)).toEqual([]);
    expect(listed(`${monitor}/exits`)).toEqual([]);
    expect(listed(`${monitor}/execs`)).toEqual([]);
    await engine.dockerOk('start', '-a', id);
    await engine.dockerOk('rm', id);
  });
});
