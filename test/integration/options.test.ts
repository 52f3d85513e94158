import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inBatches } from '../support/batches.ts';
import { peerAbsence, skipNote, startDockerPeer, type DockerPeer } from '../support/docker-peer.ts';
import { busyboxTar, TestEngine } from '../support/engine.ts';

/*
 * Options of `docker run`, seen from inside; and what is said of those that cannot be had.
 */
let engine: TestEngine;
let cdiDirectory: string;
beforeAll(async () => {
  cdiDirectory = mkdtempSync(join(tmpdir(), 'moored-cdi-'));
  engine = await TestEngine.start('--cdi-spec-dir', cdiDirectory);
  await engine.importBusybox();
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
  rmSync(cdiDirectory, { recursive: true, force: true });
});

const RUNTIMES = ['crun', 'runc'] as const;
const run = (...args: readonly string[]): Promise<string> =>
  engine.dockerOk('run', '--rm', '--network', 'none', ...args);
const words = (text: string): readonly string[] => text.split(/\s+/);

interface Inspected {
  readonly Id: string;
  readonly HostConfig: Readonly<Record<string, unknown>>;
  readonly Config: Readonly<Record<string, unknown>>;
}
const inspected = async (name: string): Promise<Inspected> =>
  (await engine.api('GET', `/containers/${name}/json`)).json as Inspected;

describe.each(RUNTIMES)('a container of %s', (runtime) => {
  it('has the capabilities, privileges and groups that were asked for', async () => {
    const status = await run(
      ...['--runtime', runtime, '--cap-drop', 'ALL', '--cap-add', 'chown', '--security-opt', 'no-new-privileges'],
      ...['--group-add', 'wheel', '--group-add', '44', '--oom-score-adj', '500', 'busybox', 'sh', '-c'],
      'grep -E "^(CapBnd|NoNewPrivs|Groups)" /proc/self/status; cat /proc/self/oom_score_adj',
    );
    expect(words(status)).toEqual([
      ...['Groups:', '0', '10', '44', 'CapBnd:', '0000000000000001', 'NoNewPrivs:', '1', '500'],
    ]);
  });

  it('has devices by other names, and all of a directory’s', async () => {
    const devices = ['--device', '/dev/null:/dev/n2:r', '--device', '/dev/net:/dev/many'];
    const seen = await run(
      '--runtime',
      runtime,
      ...devices,
      'busybox',
      'sh',
      '-c',
      'ls /dev/n2 /dev/many/*; cat /dev/n2',
    );
    expect(words(seen)).toEqual(['/dev/many/tun', '/dev/n2']);
  });

  it('has limits on open files, processors and block devices, and is told kernel parameters', async () => {
    const seen = await run(
      ...['--runtime', runtime, '--ulimit', 'nofile=100:200', '--cpus', '0.5', '--sysctl', 'fs.mqueue.msg_max=5'],
      ...['busybox', 'sh', '-c', 'ulimit -n; ulimit -Hn; cat /proc/sys/fs/mqueue/msg_max'],
    );
    expect(words(seen)).toEqual(['100', '200', '5']);
  });

  it('has what a CDI description adds, hooks too', async () => {
    const hooked = join(cdiDirectory, `hooked-${runtime}`);
    const device = {
      name: runtime,
      containerEdits: {
        env: ['A=2'],
        deviceNodes: [{ path: '/dev/va', hostPath: '/dev/zero' }],
        mounts: [{ hostPath: cdiDirectory, containerPath: '/cdi', options: ['ro', 'bind'] }],
        hooks: [{ hookName: 'createContainer', path: '/bin/sh', args: ['sh', '-c', `touch ${hooked}`] }],
        additionalGids: [77],
      },
    };
    const name = `${runtime}.json`;
    writeFileSync(
      join(cdiDirectory, name),
      JSON.stringify({ cdiVersion: '0.6.0', kind: `vendor.com/${runtime}`, devices: [device] }),
    );
    const seen = await run(
      ...['--runtime', runtime, '--device', `vendor.com/${runtime}=${runtime}`, 'busybox', 'sh', '-c'],
      `echo $A; stat -c %t,%T /dev/va; ls /cdi/hooked-${runtime}; ls /cdi/${name}; id -G`,
    );
    expect(words(seen)).toEqual(['2', '1,5', `/cdi/hooked-${runtime}`, `/cdi/${name}`, '0', '10', '77']);
    const info = await engine.dockerOk('info', '--format', '{{json .DiscoveredDevices}} {{.CDISpecDirs}}');
    expect(info).toContain(`{"Source":"cdi","ID":"vendor.com/${runtime}=${runtime}"}`);
    expect(info).toContain(`[${cdiDirectory}]`);
  });
});

describe('security options', () => {
  it('take a profile of the user’s own, with conditions and numbers of errors', async () => {
    const profile = join(cdiDirectory, 'profile');
    const rule = { action: 'SCMP_ACT_ERRNO', errnoRet: 38, names: ['mkdir', 'mkdirat'] };
    writeFileSync(
      profile,
      JSON.stringify({
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [rule, { ...rule, names: ['chmod', 'fchmodat'], includes: { caps: ['CAP_SYS_ADMIN'] } }],
      }),
    );
    const said = await engine.docker([
      ...['run', '--rm', '--network', 'none', '--security-opt', `seccomp=${profile}`, 'busybox', 'sh', '-c'],
      'chmod 700 /tmp && echo mode; mkdir /x',
    ]);
    expect(said.stdout).toBe('mode\n');
    expect(said.stderr).toContain('Function not implemented');
  });

  it('let the whole of /proc be seen, and control groups be written', async () => {
    const masked = 'grep -c " /proc/" /proc/mounts; :';
    expect(await run('busybox', 'sh', '-c', masked)).not.toBe('0');
    expect(await run('--security-opt', 'systempaths=unconfined', 'busybox', 'sh', '-c', masked)).toBe('0');
    const groups = 'grep " /sys/fs/cgroup/pids " /proc/mounts || grep " /sys/fs/cgroup " /proc/mounts';
    expect(await run('busybox', 'sh', '-c', groups)).toMatch(/ ro,/);
    expect(await run('--security-opt', 'writable-cgroups=true', 'busybox', 'sh', '-c', groups)).toMatch(/ rw,/);
  });
});

describe('links', () => {
  it('are names of what they lead to, for every client', async () => {
    const names = (...flags: readonly string[]): Promise<string> =>
      engine.dockerOk('ps', '-a', ...flags, '--format', '{{.Names}}');
    await engine.dockerOk('run', '-d', '--name', 'db', 'busybox', 'sleep', '600');
    await engine.dockerOk(
      'run',
      '-d',
      '--name',
      'web',
      '--link',
      'db:store',
      '--link',
      'db',
      'busybox',
      'sleep',
      '600',
    );
    expect((await names('--no-trunc')).split('\n')).toEqual(['web', 'db,web/db,web/store']);
    expect((await names()).split('\n')).toEqual(['web', 'db']);
    expect(await engine.dockerOk('inspect', '-f', '{{.Name}}', 'web/store')).toBe('/db');
    const hostname = (await inspected('db')).Id.slice(0, 12);
    expect(await engine.dockerOk('exec', 'web/store', 'hostname')).toBe(hostname);

    await engine.dockerOk('rename', 'web', 'front');
    await engine.dockerOk('rename', 'db', 'base');
    expect((await names('--no-trunc')).split('\n')).toEqual(['front', 'base,front/db,front/store']);
    expect((await inspected('front')).HostConfig['Links']).toEqual(['/base:/front/db', '/base:/front/store']);
    expect((await engine.docker(['inspect', 'web/store'])).stderr).toContain('No such object: web/store');
    expect((await engine.docker(['logs', 'web/store'])).stderr).toContain('No such container: web/store');
    await engine.dockerOk('restart', '-t', '0', 'front/db');
    await engine.dockerOk('rm', '--link', 'front/store');
    expect((await names('--no-trunc')).split('\n')).toEqual(['front', 'base,front/db']);
    await engine.dockerOk('rm', '-f', 'front/db');
    expect(await names('--no-trunc')).toBe('front');
    await engine.dockerOk('rm', '-f', 'front');
  });

  it('give names and variables, follow a new address, and can be taken away', async () => {
    await engine.dockerOk('run', '-d', '--name', 'db', '-e', 'A=x', '--expose', '5432', 'busybox', 'sleep', '600');
    await engine.dockerOk('run', '-d', '--name', 'web', '--link', 'db:store', 'busybox', 'sleep', '600');
    const address = await engine.dockerOk('inspect', '-f', '{{.NetworkSettings.Networks.bridge.IPAddress}}', 'db');
    const env = (await engine.dockerOk('exec', 'web', 'env')).split('\n').filter((line) => line.startsWith('STORE_'));
    expect(env.sort()).toEqual([
      'STORE_ENV_A=x',
      'STORE_NAME=/web/store',
      `STORE_PORT=tcp://${address}:5432`,
      `STORE_PORT_5432_TCP=tcp://${address}:5432`,
      `STORE_PORT_5432_TCP_ADDR=${address}`,
      'STORE_PORT_5432_TCP_PORT=5432',
      'STORE_PORT_5432_TCP_PROTO=tcp',
    ]);
    const { Id: id } = await inspected('db');
    const entry = (at: string): string => `${at}\tstore ${id.slice(0, 12)} db\n`;
    expect(await engine.dockerOk('exec', 'web', 'cat', '/etc/hosts')).toContain(entry(address));
    expect((await inspected('web')).HostConfig['Links']).toEqual(['/db:/web/store']);

    await engine.dockerOk('rename', 'db', 'base');
    await engine.dockerOk('rename', 'base', 'db');
    await engine.dockerOk('stop', '-t', '0', 'db');
    await engine.dockerOk('run', '-d', '--name', 'taker', 'busybox', 'sleep', '600');
    await engine.dockerOk('start', 'db');
    const moved = await engine.dockerOk('inspect', '-f', '{{.NetworkSettings.Networks.bridge.IPAddress}}', 'db');
    expect(moved).not.toBe(address);
    expect(await engine.dockerOk('exec', 'web', 'cat', '/etc/hosts')).toContain(entry(moved));

    await engine.dockerOk('stop', '-t', '0', 'db', 'web');
    expect((await engine.docker(['start', 'web'])).stderr).toContain(
      'Cannot link to a non running container: /db AS /web/store',
    );
    await engine.dockerOk('rm', '--link', 'web/store');
    expect((await inspected('web')).HostConfig['Links']).toBeNull();
    expect((await engine.docker(['rm', '--link', 'db'])).stderr).toContain(
      'Conflict, cannot remove the default link name of the container',
    );
    await engine.dockerOk('rm', '-f', 'db', 'web', 'taker');
  });
});

describe('what inspect shows', () => {
  it('makes the same container again, with everything set', async () => {
    mkdirSync(join(cdiDirectory, 'bind'), { recursive: true });
    await engine.dockerOk('create', '--name', 'lender', '-v', '/lent', 'busybox', 'true');
    const body = {
      ...{ Image: 'busybox', Cmd: ['true'], Entrypoint: ['sh', '-c'], Env: ['A=b'], Labels: { l: 'v' }, User: '1:1' },
      ...{ Hostname: 'h', Domainname: 'd.example', WorkingDir: '/tmp', Tty: true, OpenStdin: true, StdinOnce: true },
      ...{ ExposedPorts: { '80/tcp': {} }, Volumes: { '/anon': {} }, StopSignal: 'SIGINT', StopTimeout: 3 },
      Healthcheck: { Test: ['CMD', 'true'], Interval: 30_000_000_000, Retries: 2 },
      HostConfig: {
        Binds: [`${join(cdiDirectory, 'bind')}:/b:ro`, 'named:/n'],
        ...{ LogConfig: { Type: 'json-file', Config: { 'max-size': '1m' } }, VolumesFrom: ['lender:ro'] },
        PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '' }] },
        RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 2 },
        ...{ ConsoleSize: [24, 80], Annotations: { a: 'b' }, CapAdd: ['NET_ADMIN'], CapDrop: ['CHOWN'] },
        ...{ CgroupnsMode: 'host', Dns: ['192.0.2.1'], DnsOptions: ['ndots:1'], DnsSearch: ['example.com'] },
        ...{
          ExtraHosts: ['a:192.0.2.2', 'b:host-gateway'],
          GroupAdd: ['44'],
          IpcMode: 'shareable',
          Links: ['lender:x'],
        },
        ...{ OomScoreAdj: 5, PidMode: 'host', PublishAllPorts: true, ReadonlyRootfs: true, ShmSize: 1 << 20 },
        ...{ SecurityOpt: ['no-new-privileges', 'seccomp=unconfined'], Tmpfs: { '/t': 'size=1m' }, UTSMode: '' },
        ...{ Sysctls: { 'net.ipv4.ip_forward': '1' }, Runtime: 'runc', CpuShares: 5, Memory: 1 << 26, NanoCpus: 5e8 },
        ...{ CgroupParent: '', BlkioWeight: 0, CpusetCpus: '0', CpusetMems: '0', MemoryReservation: 1 << 25 },
        ...{
          BlkioDeviceReadBps: [{ Path: '/dev/vda', Rate: 5 }],
          BlkioDeviceWriteIOps: [{ Path: '/dev/vda', Rate: 5 }],
        },
        Devices: [{ PathOnHost: '/dev/null', PathInContainer: '/dev/n2', CgroupPermissions: 'r' }],
        DeviceCgroupRules: ['c 1:3 rw'],
        DeviceRequests: [{ Driver: 'cdi', Count: 0, DeviceIDs: ['v.com/c=1'], Capabilities: null, Options: null }],
        ...{ MemorySwap: -1, PidsLimit: 5, Init: true, MaskedPaths: ['/proc/kcore'], ReadonlyPaths: [] },
        Ulimits: [{ Name: 'nofile', Hard: 200, Soft: 100 }],
        Mounts: [{ Type: 'tmpfs', Target: '/m', TmpfsOptions: { SizeBytes: 4096 } }],
      },
    };
    const first = await engine.api('POST', '/containers/create?name=once', body);
    expect([first.status, first.json]).toEqual([201, { Id: expect.any(String) as unknown, Warnings: [] }]);
    const shown = await inspected('once');
    const again = await engine.api('POST', '/containers/create?name=twice', {
      ...shown.Config,
      HostConfig: shown.HostConfig,
    });
    expect([again.status, again.body]).toEqual([201, expect.stringContaining('"Warnings":[]')]);
    const second = await inspected('twice');
    const renamed = JSON.parse(JSON.stringify(second.HostConfig).replaceAll('/twice/', '/once/')) as unknown;
    expect(renamed).toEqual(shown.HostConfig);
    expect(second.Config).toEqual(shown.Config);
    await engine.dockerOk('rm', '-fv', 'once', 'twice', 'lender');
    await engine.dockerOk('volume', 'rm', 'named');
  });
});

/* What both say of a bad request: exit status and text, but for what dockerd 28 words otherwise than 20.10. */
describe.skipIf(peerAbsence !== null)(`beside dockerd${skipNote(peerAbsence)}`, () => {
  let peer: DockerPeer;
  beforeAll(async () => {
    peer = await startDockerPeer();
    const loaded = await peer.docker(['import', '-', 'busybox:latest'], { stdin: await busyboxTar() });
    expect(loaded.code).toBe(0);
  });
  afterAll(async () => {
    await peer[Symbol.asyncDispose]();
  });

  const asIn28 = (text: string): string =>
    text
      .replace(/[0-9a-f]{64}/g, 'ID')
      // Ours goes on with the reason.
      .replace(/(?<='pquota' mount option): [^\n]*?(?=\.?\n|$)/, '')
      .replace('daemon: failed to create shim', 'daemon: failed to create task for container: failed to create shim')
      .replace(/daemon: (Range|Unable|Invalid (?=isolation|signal|QoS))/, (match) =>
        match.replace(/daemon: (.)/, (_all, first: string) => `daemon: ${first.toLowerCase()}`),
      )
      .replace(/Unknown runtime specified (\w+)/, 'unknown or invalid runtime name: $1');

  it('refuses the same, in the same words', async () => {
    const wrong: readonly (readonly string[])[] = [
      ['--sysctl', 'kernel.shmmax=5', '--ipc', 'host'],
      ['--device', '/dev/nosuch'],
      ['--device', '/etc/passwd'],
      ['--gpus', 'all'],
      ['--storage-opt', 'size=1G'],
      ['--storage-opt', 'foo=1G'],
      ['--group-add', 'nosuch'],
      ['--user', 'nosuch'],
      ['--security-opt', 'nope'],
      ['--security-opt', 'nope=1'],
      ['--security-opt', 'no-new-privileges=maybe'],
      ['--cap-add', 'FOO'],
      ['--cap-drop', 'FOO'],
      ['--runtime', 'nosuch'],
      ['--device-read-bps', '/dev/nosuch:1mb'],
      ['--cpu-rt-runtime', '95000', '--cpu-rt-period', '9'],
      ['--cpus', '50'],
      ['--cpus', '1', '--cpu-quota', '5000'],
      ['--cpu-period', '1'],
      ['--cpu-quota', '1'],
      ['--cpuset-cpus', '4077'],
      ['--cpuset-mems', '4077'],
      ['--cpuset-cpus', 'x'],
      ['--memory', '1m'],
      ['--memory', '50m', '--memory-swap', '40m'],
      ['--memory-swap', '40m'],
      ['--memory', '50m', '--memory-reservation', '60m'],
      ['--memory-reservation', '1m'],
      ['--memory-swappiness', '101'],
      ['--oom-score-adj', '2000'],
      ['--isolation', 'foo'],
      ['--stop-signal', 'FOO'],
      ['--device-cgroup-rule', 'c 1:3 x'],
      ['--restart', 'always'],
      ['--add-host', 'a:zz'],
      ['--workdir', 'relative'],
      ['--link', 'nosuch'],
      ['--pid', 'foo'],
      ['--ipc', 'container:nosuch'],
      ['--uts', 'foo'],
      ['--cgroupns', 'foo'],
      ['--tmpfs', '/'],
    ];
    const said = await inBatches(wrong, async (options) => {
      const network = options.includes('--link') ? [] : ['--network', 'none'];
      const args = ['run', '--rm', ...options, ...network, 'busybox', 'true'];
      const answers = await Promise.all([engine.docker(args), peer.docker(args)]);
      return answers.map(({ code, stderr }) => [options.join(' '), code, asIn28(stderr)]);
    });
    expect(said.map(([ours]) => ours)).toEqual(said.map(([, theirs]) => theirs));
  });

  it.each(
    [
      ['--security-opt', 'apparmor=nosuch', '--security-opt', 'label=disable'],
      ['--blkio-weight', '5', '--blkio-weight-device', '/dev/vda:100'],
      ['--oom-kill-disable'],
      ['--memory', '50m', '--kernel-memory', '50m'],
    ].map((options) => ({ options, title: options.join(' ') })),
  )('warns of $title', async ({ options }) => {
    const args = ['create', '--name', 'warned', '--network', 'none', ...options, 'busybox', 'true'];
    const [ours, theirs] = await Promise.all([engine.docker(args), peer.docker(args)]);
    // The option went with API 1.42, which the peer does not know yet.
    const said = theirs.stderr.replace(/^WARNING: Specifying a kernel memory limit is deprecated.*\n/m, '');
    expect([ours.code, ours.stderr]).toEqual([theirs.code, said]);
    await Promise.all([engine.dockerOk('rm', 'warned'), peer.docker(['rm', 'warned'])]);
  });
});
