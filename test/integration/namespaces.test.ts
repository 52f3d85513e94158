import { readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine } from '../support/engine.ts';

/* Namespaces that containers have for themselves, share with one another, or with the host; texts are docker 28's. */
let engine: TestEngine;

beforeAll(async () => {
  engine = await TestEngine.start();
  await engine.importBusybox();
  await ok('run', '-d', '--stop-timeout', '0', '--name', 'donor', '--ipc', 'shareable', 'busybox', 'sleep', '600');
  await ok('create', '--name', 'still', '--ipc', 'shareable', 'busybox', 'true');
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
});

const ok = (...args: readonly string[]): Promise<string> => engine.dockerOk(...args);
const sh = (script: string, ...options: readonly string[]): Promise<string> =>
  ok('run', '--rm', ...options, 'busybox', 'sh', '-c', script);
const refusal = async (...options: readonly string[]): Promise<string> => {
  const { code, stderr } = await engine.docker(['run', '--rm', ...options, 'busybox', 'true']);
  expect(code, options.join(' ')).toBe(125);
  return stderr.split('\n')[0]?.replace(/^docker: Error response from daemon: /, '') ?? '';
};
const inside = (type: string): string => `readlink /proc/self/ns/${type}`;
const ofHost = (type: string): string => readlinkSync(`/proc/self/ns/${type}`);
const ofDonor = (type: string): Promise<string> => ok('exec', 'donor', 'readlink', `/proc/self/ns/${type}`);

describe.each(['crun', 'runc'])('with %s a container', (runtime) => {
  const run = (script: string, ...options: readonly string[]): Promise<string> =>
    sh(script, '--runtime', runtime, ...options);

  it('has its own of each, unless it says', async () => {
    const types = ['ipc', 'pid', 'uts', 'net'];
    const own = (await run(types.map(inside).join(';'))).split('\n');
    for (const [index, type] of types.entries()) {
      expect(own[index], type).toMatch(/^\w+:\[\d+\]$/);
      expect([ofHost(type), await ofDonor(type)], type).not.toContain(own[index]);
    }
  });

  it('is in the host’s where it asks for them', async () => {
    const script = ['ipc', 'pid', 'uts', 'net', 'cgroup'].map(inside).join(';');
    const options = ['--ipc=host', '--pid=host', '--uts=host', '--net=host', '--cgroupns=host'];
    const said = await run(`${script}; hostname`, ...options);
    expect(said.split('\n')).toEqual([...['ipc', 'pid', 'uts', 'net', 'cgroup'].map(ofHost), hostname()]);
    expect(await run(inside('cgroup'), '--cgroupns=private')).not.toBe(ofHost('cgroup'));
  });

  it('is in another’s where it asks for them, with its shared memory and files', async () => {
    await ok('exec', 'donor', 'sh', '-c', 'echo shared > /dev/shm/file');
    const all = ['--ipc', 'container:donor', '--pid', 'container:donor', '--net', 'container:donor'];
    const said = await run(`${['ipc', 'pid', 'net'].map(inside).join(';')}; cat /dev/shm/file /etc/hostname`, ...all);
    const name = await ok('inspect', '-f', '{{.Config.Hostname}}', 'donor');
    expect(said.split('\n')).toEqual([
      await ofDonor('ipc'),
      await ofDonor('pid'),
      await ofDonor('net'),
      'shared',
      name,
    ]);
  });

  it('has no shared memory with ipc none, and only the loopback link without network', async () => {
    expect(await run('ls -d /dev/shm /dev/mqueue 2>/dev/null | wc -l', '--ipc=none')).toBe('0');
    expect(await run('ls /sys/class/net', '--net=none')).toBe('lo');
  });

  it('can be entered by exec in shared namespaces', async () => {
    await ok('run', '-d', '--name', 'guest', '--runtime', runtime, '--net=container:donor', 'busybox', 'sleep', '60');
    expect(await ok('exec', 'guest', 'readlink', '/proc/self/ns/net')).toBe(await ofDonor('net'));
    await ok('rm', '-f', 'guest');
  });
});

describe('what cannot be joined is told in docker’s words', () => {
  it.each([
    ['--ipc=foo', 'invalid IPC mode: foo'],
    ['--pid=container:nosuch', 'No such container: nosuch'],
    ['--ipc=container:nosuch', 'No such container: nosuch'],
    ['--net=container:nosuch', 'joining network namespace of container: No such container: nosuch'],
    ['--net=container:still', 'cannot join network namespace of a non running container: container still is created'],
  ])('%s: %s', async (option, message) => {
    const { stderr } = await engine.docker(['run', '--rm', option, 'busybox', 'true']);
    expect(stderr).toContain(message);
  });

  it('where the donor does not run or does not lend', async () => {
    const still = await ok('inspect', '-f', '{{.Id}}', 'still');
    expect(await refusal('--pid=container:still')).toBe(
      `failed to join PID namespace: container ${still} is not running`,
    );
    expect(await refusal('--ipc=container:still')).toBe(
      `failed to join IPC namespace: container ${still} is not running`,
    );
    const id = await ok('run', '-d', '--name', 'private', 'busybox', 'sleep', '60');
    expect(await refusal('--ipc=container:private')).toBe(
      `failed to join IPC namespace: container ${id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)`,
    );
    await ok('rm', '-f', 'private');
  });

  it('where it would be its own', async () => {
    await ok('create', '--name', 'narcissus', '--net=container:narcissus', 'busybox', 'true');
    expect((await engine.docker(['start', 'narcissus'])).stderr).toContain('cannot join own network namespace');
    await ok('rm', 'narcissus');
  });

  it.each([
    [['--hostname=x'], 'conflicting options: hostname and the network mode'],
    [['--dns=192.0.2.1'], 'conflicting options: dns and the network mode'],
    [['--add-host=a:192.0.2.1'], 'conflicting options: custom host-to-IP mapping and the network mode'],
    [['-p', '80'], 'conflicting options: port publishing and the container type network mode'],
    [['--expose=80'], 'conflicting options: port exposing and the container type network mode'],
    [['--link=donor:d'], "conflicting options: container type network can't be used with links."],
  ])('another’s network with %j: %s', async (options, message) => {
    expect(await refusal('--net=container:donor', ...options)).toContain(message);
  });

  it('a host name with the host’s uts', async () => {
    expect(await refusal('--uts=host', '--hostname=x')).toBe('conflicting options: hostname and the UTS mode');
  });
});

describe('ipc through a chain', () => {
  it('is the first donor’s', async () => {
    await ok('run', '-d', '--name', 'link', '--ipc=container:donor', 'busybox', 'sleep', '60');
    expect(await sh(inside('ipc'), '--ipc=container:link')).toBe(await ofDonor('ipc'));
    await ok('rm', '-f', 'link');
  });
});

describe('after the daemon has come back', () => {
  it('donors are started before those that join them, whatever their names', async () => {
    const lasting = ['--restart=always', '--stop-timeout', '0'];
    await ok('run', '-d', '--name', 'zz-donor', ...lasting, '--ipc=shareable', 'busybox', 'sleep', '600');
    const joins = ['--net=container:zz-donor', '--pid=container:zz-donor', '--ipc=container:zz-donor'];
    await ok('run', '-d', '--name', 'aa-guest', ...lasting, ...joins, 'busybox', 'sleep', '600');
    await engine.end('SIGTERM');
    await engine.boot();
    const running = async (): Promise<string> =>
      ok('inspect', '-f', '{{.State.Running}} {{.State.Error}}', 'aa-guest', 'zz-donor');
    await expect.poll(running).toBe('true \ntrue ');
    const net = ['readlink', '/proc/self/ns/net'];
    expect(await ok('exec', 'aa-guest', ...net)).toBe(await ok('exec', 'zz-donor', ...net));
  });

  it('a stopped donor leaves its guests running, and can be joined anew', async () => {
    await ok('stop', '-t', '0', 'zz-donor');
    expect(await ok('inspect', '-f', '{{.State.Status}}', 'zz-donor')).toBe('exited');
    expect((await engine.docker(['restart', '-t', '0', 'aa-guest'])).stderr).toContain(
      'cannot join network namespace of a non running container: container zz-donor is exited',
    );
    await ok('start', 'zz-donor');
    await ok('start', 'aa-guest');
    await ok('rm', '-f', 'aa-guest', 'zz-donor');
  });
});
