import { chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run, TestEngine } from '../support/engine.ts';

/*
 * Containers in user namespaces: whose files and processes are on either side. The remapped user is nobody, who is there
 * on each host. Files with ranges for it are mounted over the host's, which stay as they are, for as long as the tests run.
 */
const FIRST = 700_000_000;
const RANGE = `65534:${String(FIRST)}:65536\n`;
const REMAP = '--userns-remap=65534:65534';
const FILES = ['/etc/subuid', '/etc/subgid'] as const;
const HERE = { env: process.env };
const SCRATCH = 'mt-subordinate-';
let engine: TestEngine;
let scratch = '';

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), SCRATCH));
  for (const path of FILES) {
    await uncover(path);
    const copy = join(scratch, basename(path));
    writeFileSync(copy, readFileSync(path, 'utf8') + RANGE);
    expect((await run('mount', ['--bind', copy, path], HERE)).code, `mount on ${path}`).toBe(0);
  }
  engine = await TestEngine.start(REMAP);
  await engine.importBusybox();
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
  for (const path of FILES) await uncover(path);
  rmSync(scratch, { recursive: true, force: true });
});

/** Takes our mounts off a file, those of a run that was killed as well. */
async function uncover(path: string): Promise<void> {
  const ours = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , , root = '', target]) => target === path && root.includes(`/${SCRATCH}`));
  for (let count = ours.length; count > 0; count -= 1) await run('umount', [path], HERE);
}

const ok = (...args: readonly string[]): Promise<string> => engine.dockerOk(...args);
const sh = (script: string, ...options: readonly string[]): Promise<string> =>
  ok('run', '--rm', ...options, 'busybox', 'sh', '-c', script);
const refusal = async (...args: readonly string[]): Promise<string> => {
  const { code, stderr } = await engine.docker(args);
  expect(code, args.join(' ')).not.toBe(0);
  return stderr.split('\n')[0] ?? '';
};
const mapOf = (text: string): readonly number[] => text.trim().split(/\s+/).map(Number);
const pidOf = async (name: string): Promise<string> => ok('inspect', '-f', '{{.State.Pid}}', name);
const uidOnHost = async (name: string): Promise<number> => {
  const status = readFileSync(`/proc/${await pidOf(name)}/status`, 'utf8');
  return Number(/^Uid:\s+(\d+)/m.exec(status)?.[1]);
};

describe('--userns-remap', () => {
  it('is told by info, and containers of both runtimes have the user’s ids', async () => {
    expect(await ok('info', '-f', '{{.SecurityOptions}}')).toContain('name=userns');
    for (const runtime of ['crun', 'runc']) {
      const said = await sh('id -u; cat /proc/self/uid_map /proc/self/gid_map', '--runtime', runtime);
      expect(mapOf(said), runtime).toEqual([0, 0, FIRST, 65_536, 0, FIRST, 65_536]);
    }
    await ok('run', '-d', '--name', 'outside', '-u', '7', 'busybox', 'sleep', '300');
    expect(await uidOnHost('outside')).toBe(FIRST + 7);
    await ok('rm', '-f', 'outside');
  });

  it('builds images whose files have the owners that are seen inside', async () => {
    const file = 'FROM busybox\nRUN echo made > /made && chown 7:8 /made\nCOPY --chown=9:10 <<F /copied\ntext\nF\n';
    const options = {
      stdin: `${file}RUN cat /made /copied; id -u\n`,
      env: { ...engine.cliEnvironment, DOCKER_BUILDKIT: '0' },
    };
    const built = await run('docker', ['build', '-t', 'built', '-'], options);
    expect(built).toMatchObject({ code: 0, stdout: expect.stringContaining('\nmade\ntext\n0\n') });
    const owners = await ok('run', '--rm', '--userns=host', 'built', 'stat', '-c', '%u:%g', '/made', '/copied');
    expect(owners).toBe('7:8\n9:10');
    expect(await ok('run', '--rm', 'built', 'stat', '-c', '%u:%g', '/made', '/copied')).toBe('7:8\n9:10');
    await ok('rmi', 'built');
  });

  it('gives the container’s root its files, shared memory and network', async () => {
    const files = '/ /etc /etc/hosts /etc/hostname /etc/resolv.conf /dev/shm';
    expect(await sh(`stat -c %u:%g ${files} | sort -u; echo x >> /etc/hosts`, '--ipc', 'shareable')).toBe('0:0');
    expect(await sh('ls /sys/class/net | sort; cat /proc/sys/net/ipv4/ping_group_range')).toMatch(
      /^eth0\nlo\n0\s+65535$/,
    );
    expect(await sh('echo said > /dev/stdout; tty', '-t', '-u', '5')).toContain('said');
    expect(await sh('ls /dev/shm /dev/mqueue 2>&1 | wc -l', '--ipc', 'none')).toBe('2');
  });

  it('keeps the ids inside on the disk: volumes, copy-up, commit, diff, export', async () => {
    await ok(
      'run',
      '--name',
      'writer',
      '-v',
      'kept:/tmp',
      'busybox',
      'sh',
      '-c',
      'touch /tmp/a /b; chown 5:6 /tmp/a /b',
    );
    const { uid, gid } = statSync(join(engine.dataRoot, 'volumes/kept/_data/a'));
    expect([uid, gid]).toEqual([5, 6]);
    expect(await sh('stat -c %u:%g:%a /v /v/a', '-v', 'kept:/v')).toBe('0:0:1777\n5:6:644');
    expect(await sh('stat -c %u:%g /v/a', '-v', 'kept:/v', '--userns=host')).toBe('5:6');
    expect(await ok('diff', 'writer')).toBe('A /b');
    await ok('commit', 'writer', 'written');
    expect(await ok('run', '--rm', '--userns=host', 'written', 'stat', '-c', '%u:%g', '/b')).toBe('5:6');
    await ok('export', '-o', join(engine.root, 'tree.tar'), 'writer');
    const { stdout } = await run('tar', ['--numeric-owner', '-tvf', join(engine.root, 'tree.tar'), 'b'], HERE);
    expect(stdout).toContain(' 5/6 ');
    await ok('rm', 'writer');
  });

  it('shows images that are mounted with the ids inside', async () => {
    const whole = ['--mount', 'type=image,src=busybox,dst=/i'];
    const part = ['--mount', 'type=image,src=busybox,dst=/e,image-subpath=etc'];
    expect(await sh('stat -c %u:%g /i /i/bin /e /e/group | sort -u', ...whole, ...part)).toBe('0:0');
    expect(await sh('touch /i/x 2>&1; true', ...whole)).toContain('Read-only file system');
    expect(await sh('stat -c %u:%g /i/bin', ...whole, '--userns=host')).toBe('0:0');
    expect(leftovers()).toEqual([]);
  });

  it('copies in and out of a running container with the ids inside', async () => {
    await ok('run', '-d', '--name', 'copied', 'busybox', 'sh', '-c', 'touch /mine; chown 8:9 /mine; sleep 300');
    writeFileSync(join(engine.root, 'given'), 'x');
    await ok('cp', '-a', join(engine.root, 'given'), 'copied:/given');
    expect(await ok('exec', 'copied', 'stat', '-c', '%u:%g', '/given')).toBe('0:0');
    const tar = join(engine.root, 'mine.tar');
    await run('sh', ['-c', `docker cp copied:/mine - > ${tar}`], { env: engine.cliEnvironment });
    expect((await run('tar', ['--numeric-owner', '-tvf', tar], HERE)).stdout).toContain(' 8/9 ');
    await ok('rm', '-f', 'copied');
  });

  it('shows the host’s ids of a bind, and with idmap those inside', async () => {
    const directory = join(engine.root, 'bound');
    mkdirSync(directory);
    writeFileSync(join(directory, 'file'), '');
    chownSync(join(directory, 'file'), 33, 33);
    expect(await sh('stat -c %u /b/file; touch /b/x 2>&1 || true', '-v', `${directory}:/b`)).toMatch(
      /^65534\n.*denied$/,
    );
    expect(await sh('stat -c %u /b/file; touch /b/x', '-v', `${directory}:/b:idmap`)).toBe('33');
    expect(statSync(join(directory, 'x')).uid).toBe(0);
    const mount = { Type: 'bind', Source: directory, Target: '/b', ReadOnly: true, BindOptions: { IDMap: true } };
    const body = { Image: 'busybox', Cmd: ['touch', '/b/y'], HostConfig: { Mounts: [mount] } };
    const { json } = await engine.api('POST', '/containers/create?name=api', body);
    await ok('start', '-a', 'api').then(
      () => expect.unreachable(),
      (error: unknown) => expect(String(error)).toContain('Read-only file system'),
    );
    await ok('rm', (json as { Id: string }).Id);
    expect(await refusal('run', '--rm', '--userns=host', '-v', `${directory}:/b:idmap`, 'busybox', 'true')).toContain(
      'idmap is for containers in a user namespace',
    );
  });

  it('is refused with what needs the host, unless the container opts out', async () => {
    for (const [options, words] of [
      [
        ['--privileged'],
        'privileged mode is incompatible with user namespaces.  You must run the container in the host',
      ],
      [['--net=host'], "cannot share the host's network namespace when user namespaces are enabled"],
      [['--pid=host'], 'cannot share the host PID namespace when user namespaces are enabled'],
    ] as const) {
      expect(await refusal('run', '--rm', ...options, 'busybox', 'true')).toContain(words);
      expect(await sh('cat /proc/self/uid_map', ...options, '--userns=host')).toMatch(/^\s*0\s+0\s+4294967295$/);
    }
  });

  it('lets containers join one another, in one user namespace, with a network of their own or not', async () => {
    await ok('run', '-d', '--name', 'donor', '--ipc', 'shareable', 'busybox', 'sleep', '300');
    const user = `readlink /proc/self/ns/user`;
    const donors = await ok('exec', 'donor', 'readlink', '/proc/self/ns/user');
    for (const options of [['--net'], ['--ipc'], ['--pid'], ['--net', '--ipc', '--pid']]) {
      const all = options.flatMap((option) => [option, 'container:donor']);
      expect(await sh(`${user}; ls /sys/class/net | wc -l`, ...all), options.join()).toBe(`${donors}\n2`);
    }
    await ok('run', '-d', '--name', 'host', '--userns=host', 'busybox', 'sleep', '300');
    expect(await refusal('run', '--rm', '--net', 'container:host', 'busybox', 'true')).toContain(
      'cannot join a namespace of container host from another user namespace',
    );
    await ok('rm', '-f', 'donor', 'host');
  });

  it('outlives a daemon that is killed, and one that maps no more', async () => {
    await ok('run', '-d', '--name', 'lasting', '-v', 'last:/v', 'busybox', 'sh', '-c', 'touch /v/a /own; sleep 300');
    await engine.end('SIGKILL');
    await engine.boot();
    expect(await ok('exec', 'lasting', 'stat', '-c', '%u', '/own', '/v/a')).toBe('0\n0');
    expect(await uidOnHost('lasting')).toBe(FIRST);
    await ok('restart', '-t', '0', 'lasting');
    expect(await ok('exec', 'lasting', 'stat', '-c', '%u', '/own', '/v/a')).toBe('0\n0');
    await ok('rm', '-f', 'lasting');
    expect(leftovers()).toEqual([]);
  });
});

describe('a user namespace of its own', () => {
  const POOL = 1_500_000_000;
  const auto = ['--label', 'org.moored.userns=auto:size=1000'];

  beforeAll(async () => {
    await engine[Symbol.asyncDispose]();
    engine = await TestEngine.start(`--userns-pool=${String(POOL)}:2500`);
    await engine.importBusybox();
  });

  it('has ids that no other container has, through restarts of container and daemon, until it is removed', async () => {
    for (const name of ['one', 'two']) await ok('run', '-d', '--name', name, ...auto, 'busybox', 'sleep', '300');
    expect(await Promise.all(['one', 'two'].map(uidOnHost))).toEqual([POOL, POOL + 1000]);
    expect(await refusal('create', ...auto, 'busybox', 'true')).toContain(
      `no 1000 ids in a row are free for a user namespace in userns-pool ${String(POOL)}:2500: 2 containers have theirs`,
    );
    expect(await ok('ps', '-aq').then((text) => text.split('\n').length)).toBe(2);
    await engine.end('SIGKILL');
    await engine.boot();
    await ok('restart', '-t', '0', 'two');
    expect(await uidOnHost('two')).toBe(POOL + 1000);
    await ok('rm', '-f', 'one');
    await ok('run', '-d', '--name', 'three', ...auto, 'busybox', 'sleep', '300');
    expect(await uidOnHost('three')).toBe(POOL);
    await ok('rm', '-f', 'two', 'three');
    expect(leftovers()).toEqual([]);
  });

  it('keeps its ids for who has joined it and goes on without it', async () => {
    const host = { UsernsMode: 'auto:size=500', IpcMode: 'shareable' };
    const body = { Image: 'busybox', Cmd: ['sleep', '300'], HostConfig: host };
    expect(await engine.api('POST', '/containers/create?name=first', body)).toMatchObject({ status: 201 });
    await ok('start', 'first');
    await ok('run', '-d', '--name', 'joined', ...auto, '--ipc', 'container:first', 'busybox', 'sleep', '300');
    expect(await uidOnHost('joined')).toBe(POOL);
    await ok('rm', '-f', 'first');
    await ok('run', '-d', '--name', 'next', ...auto, 'busybox', 'sleep', '300');
    expect(await uidOnHost('next')).toBe(POOL + 500);
    await ok('rm', '-f', 'joined', 'next');
  });

  it('is asked for over the API, shares volumes with others, and is joined by who joins its container', async () => {
    const host = { UsernsMode: 'auto:size=500', Binds: ['shared:/v'] };
    const body = { Image: 'busybox', Cmd: ['sh', '-c', 'touch /v/a; sleep 300'], HostConfig: host };
    expect(await engine.api('POST', '/containers/create?name=own', body)).toMatchObject({ status: 201 });
    await ok('start', 'own');
    expect(await ok('inspect', '-f', '{{.HostConfig.UsernsMode}}', 'own')).toBe('auto:size=500');
    expect(mapOf(await ok('exec', 'own', 'cat', '/proc/self/uid_map'))).toEqual([0, POOL, 500]);
    expect(await sh('stat -c %u /v/a; echo y > /v/a', ...auto, '-v', 'shared:/v')).toBe('0');
    const joined = await sh('cat /proc/self/uid_map', '--label', 'org.moored.userns=auto', '--pid', 'container:own');
    expect(mapOf(joined)).toEqual([0, POOL, 500]);
    await ok('rm', '-f', 'own');
    expect(await refusal('create', '--label', 'org.moored.userns=all', 'busybox', 'true')).toContain(
      'invalid user namespace mode: all',
    );
  });
});

describe('a daemon with bad ranges', () => {
  it('does not start, and says why', async () => {
    const refused = async (flag: string, message: string): Promise<void> =>
      expect(TestEngine.start(flag), flag).rejects.toThrow(message);
    await Promise.all([
      refused(
        '--userns-remap=nosuch',
        'Error during uid lookup for \\"nosuch\\": getent unable to find entry \\"nosuch\\" in passwd database',
      ),
      refused('--userns-pool=nosuch', 'invalid userns-pool: unable to find user \\"nosuch\\"'),
      refused('--userns-pool=0:5', 'invalid userns-pool: 0:5: not a range of ids'),
    ]);
  });
});

/** Mounts of containers, and files that keep namespaces. */
function leftovers(): readonly string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(engine.root) && /rootfs|userns|mapped|layers|netns/.test(line));
}
