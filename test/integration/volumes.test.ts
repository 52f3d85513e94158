/** Volumes and mounts on the real runtime: what is mounted where, what is left, and dockerd's own words for what is refused. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { peerAbsence, startDockerPeer, type DockerPeer } from '../support/docker-peer.ts';
import { busyboxTar, run, TestEngine, until, type CommandResult } from '../support/engine.ts';

let engine: TestEngine;
let peer: DockerPeer | null = null;
let scratch = '';
beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'mt-volumes-'));
  if (peerAbsence !== null) console.warn(`not compared with dockerd: ${peerAbsence}`);
  [engine, peer] = await Promise.all([TestEngine.start(), peerAbsence === null ? startDockerPeer() : null]);
  await engine.importBusybox();
  await peer?.docker(['import', '-', 'busybox:latest'], { stdin: await busyboxTar() });
});
afterEach(async () => {
  const ids = await engine.dockerOk('ps', '-aq');
  if (ids !== '') await engine.dockerOk('rm', '-f', ...ids.split('\n'));
  await engine.dockerOk('volume', 'prune', '-af');
  expect(volumeMounts()).toEqual([]);
});
afterAll(async () => {
  await peer?.[Symbol.asyncDispose]();
  await engine[Symbol.asyncDispose]();
  await run('umount', ['-R', join(scratch, 'shared')], {});
  rmSync(scratch, { recursive: true, force: true });
});

/** Mount points below the engine's directory of volumes and of containers' parts. */
function volumeMounts(): readonly string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((path) => path.startsWith(`${engine.dataRoot}/volumes/`) || /\/containers\/[0-9a-f]+\/mounts\//.test(path));
}

function sh(args: readonly string[], script: string): Promise<string> {
  return engine.dockerOk('run', '--rm', ...args, 'busybox', 'sh', '-c', script);
}

async function refusal(...args: readonly string[]): Promise<string> {
  const { code, stderr } = await engine.docker(args);
  expect(code).not.toBe(0);
  return stderr;
}

describe('a volume of type tmpfs', () => {
  it('is mounted while containers use it, and empty again after the last', async () => {
    await engine.dockerOk(
      'volume',
      'create',
      '--opt',
      'type=tmpfs',
      '--opt',
      'device=tmpfs',
      '--opt',
      'o=size=1m',
      'tm',
    );
    await engine.dockerOk('run', '-d', '--name', 'one', '-v', 'tm:/v', 'busybox', 'sleep', '300');
    await engine.dockerOk('exec', 'one', 'touch', '/v/file');
    expect(await sh(['-v', 'tm:/v'], 'ls /v; df -k /v | tail -1 | awk "{print \\$2}"')).toBe('file\n1024');
    expect(volumeMounts()).toEqual([join(engine.dataRoot, 'volumes/tm/_data')]);
    await engine.dockerOk('rm', '-f', 'one');
    expect(volumeMounts()).toEqual([]);
    expect(await sh(['-v', 'tm:/v'], 'ls /v')).toBe('');
  });

  it('stays for those who run when the engine is killed, and goes with them', async () => {
    const options = ['--mount', 'type=volume,src=tk,dst=/v,volume-opt=type=tmpfs,volume-opt=device=tmpfs'];
    await engine.dockerOk('run', '-d', '--name', 'runs', ...options, 'busybox', 'sleep', '300');
    await engine.dockerOk('exec', 'runs', 'touch', '/v/file');
    await engine.end('SIGKILL');
    await engine.boot();
    expect(volumeMounts()).toHaveLength(1);
    expect(await sh(['-v', 'tk:/v'], 'ls /v')).toBe('file');
    expect(volumeMounts()).toHaveLength(1);
    await engine.dockerOk('stop', '-t', '0', 'runs');
    expect(volumeMounts()).toEqual([]);
  });

  it('is filled from the image, with the owner and mode of its directory', async () => {
    await engine.dockerOk('volume', 'create', '--opt', 'type=tmpfs', '--opt', 'device=tmpfs', 'tf');
    expect(await sh(['-v', 'tf:/etc'], 'ls -A /etc | head -2')).toContain('group');
    expect(await sh(['-v', 'tf:/tmp'], 'stat -c %a /tmp')).toBe('1777');
  });
});

describe('a volume of type none', () => {
  it('is a directory of the host, which its removal leaves', async () => {
    const directory = join(scratch, 'host');
    mkdirSync(directory);
    writeFileSync(join(directory, 'kept'), 'x');
    const options = ['--opt', 'type=none', '--opt', 'o=bind', '--opt', `device=${directory}`];
    await engine.dockerOk('volume', 'create', ...options, 'hostdir');
    await engine.dockerOk('run', '-d', '--name', 'user', '-v', 'hostdir:/v', 'busybox', 'sleep', '300');
    expect(await engine.dockerOk('exec', 'user', 'cat', '/v/kept')).toBe('x');
    expect(await refusal('volume', 'rm', 'hostdir')).toContain('volume is in use - [');
    await engine.dockerOk('rm', '-f', 'user');
    await engine.dockerOk('volume', 'rm', 'hostdir');
    expect(existsSync(join(directory, 'kept'))).toBe(true);
  });

  it('says what mount(2) said', async () => {
    const options = ['--opt', 'type=none', '--opt', 'o=bind', '--opt', 'device=/not/there'];
    await engine.dockerOk('volume', 'create', ...options, 'lost');
    const place = join(engine.dataRoot, 'volumes/lost/_data');
    expect(await refusal('run', '--rm', '-v', 'lost:/v', 'busybox', 'true')).toContain(
      `error while mounting volume '${place}': failed to mount local volume: mount /not/there:${place}, flags: 0x1000: no such file or directory`,
    );
  });
});

describe('a share on the network', () => {
  it('that cannot be reached is told in the words of the kernel, or of the resolver', async () => {
    const nfs = (name: string, o: string): Promise<string> =>
      engine.dockerOk('volume', 'create', '--opt', 'type=nfs', '--opt', `o=${o}`, '--opt', 'device=:/x', name);
    await nfs('far', 'addr=no-such-host.invalid');
    expect(await refusal('run', '--rm', '-v', 'far:/v', 'busybox', 'true')).toMatch(
      /error while mounting volume '.*': error resolving passed in network volume address: lookup no-such-host\.invalid/,
    );
    // Whatever this kernel says (it may know no nfs), it is asked in a thread of its own and leaves nothing.
    await nfs('near', 'addr=127.0.0.1,nolock,soft,timeo=1,retrans=1');
    expect(await refusal('run', '--rm', '-v', 'near:/v', 'busybox', 'true')).toContain(
      'failed to mount local volume: mount :/x:',
    );
  });
});

describe('a volume of a container that is only created', () => {
  it('has what the image has there, as with dockerd, and is not filled again', async () => {
    await engine.dockerOk('create', '--name', 'made', '-v', 'early:/etc', 'busybox', 'ls', '-A', '/etc');
    const place = join(engine.dataRoot, 'volumes/early/_data');
    expect(readFileSync(join(place, 'group'), 'utf8')).toContain('root');
    expect(volumeMounts()).toEqual([]);
    await engine.dockerOk('cp', join(scratch, '.'), 'made:/etc/copied');
    expect(existsSync(join(place, 'copied'))).toBe(true);
    rmSync(place, { recursive: true });
    mkdirSync(place);
    expect((await engine.dockerOk('start', '-a', 'made')).split('\n')).not.toContain('group');
    expect(await sh(['--volumes-from', 'made'], 'ls /etc/group 2>&1 || true')).toContain('No such file');
    // A share that does not answer is told at create, not at the first start.
    const bind = ['type=none', 'o=bind', 'device=/not/there'].flatMap((option) => ['--opt', option]);
    await engine.dockerOk('volume', 'create', ...bind, 'away');
    expect(await refusal('create', '-v', 'away:/v', 'busybox', 'true')).toContain(
      'failed to populate volume: error while',
    );
    expect(await engine.dockerOk('ps', '-aq', '--filter', 'volume=away')).toBe('');
  });
});

describe('a directory with an owner', () => {
  it('keeps it when it is filled', async () => {
    await engine.dockerOk('volume', 'create', '--opt', 'o=uid=1000,gid=1001,mode=0700', 'owned');
    expect(await sh(['-v', 'owned:/etc'], 'stat -c "%u %g %a" /etc; ls /etc/group')).toBe('1000 1001 700\n/etc/group');
  });
});

describe('a part of a volume', () => {
  const part = (subpath: string): Record<string, unknown> => ({
    Image: 'busybox',
    Cmd: ['sh', '-c', 'ls -A /v; cat /v 2>/dev/null'],
    HostConfig: {
      Mounts: [{ Type: 'volume', Source: 'parts', Target: '/v', VolumeOptions: { Subpath: subpath } }],
    },
  });

  async function started(subpath: string): Promise<{ readonly status: number; readonly text: string }> {
    const created = await engine.api('POST', '/v1.45/containers/create', part(subpath));
    if (created.status !== 201) return { status: created.status, text: created.body };
    const { Id: id } = created.json as { readonly Id: string };
    const start = await engine.api('POST', `/containers/${id}/start`);
    if (start.status !== 204) return { status: start.status, text: start.body };
    await engine.api('POST', `/containers/${id}/wait`);
    return { status: 0, text: await engine.dockerOk('logs', id) };
  }

  it('is mounted, be it a directory or a file; what leads out or to nothing is refused', async () => {
    const { mountPoint } = await made();
    writeFileSync(join(mountPoint, 'file'), 'text');
    mkdirSync(join(mountPoint, 'sub/deep'), { recursive: true });
    symlinkSync('sub', join(mountPoint, 'inside'));
    symlinkSync('/etc', join(mountPoint, 'absolute'));
    symlinkSync('../../..', join(mountPoint, 'up'));
    expect(await started('sub')).toEqual({ status: 0, text: 'deep' });
    expect(await started('inside')).toEqual({ status: 0, text: 'deep' });
    expect((await started('file')).text).toContain('text');
    expect(volumeMounts()).toEqual([]);
    expect(await started('none')).toMatchObject({
      status: 500,
      text: expect.stringContaining(
        `cannot access path ${mountPoint}/none: lstat ${mountPoint}/none: no such file or directory`,
      ) as unknown,
    });
    for (const way of ['absolute', 'up', 'up/x']) {
      expect((await started(way)).text).toContain('path concatenation escapes the base directory');
    }
    expect(await started('../x')).toMatchObject({ status: 400 });
    expect(volumeMounts()).toEqual([]);
  });

  it('cannot be swapped for a way out while containers start', async () => {
    const { mountPoint } = await made();
    mkdirSync(join(mountPoint, 'real'));
    writeFileSync(join(mountPoint, 'real/mine'), '');
    // The container turns `x` from a directory into a link to / and back, as fast as it can.
    await engine.dockerOk(
      ...['run', '-d', '--name', 'swap', '-v', 'parts:/p', 'busybox', 'sh', '-c'],
      'cd /p; ln -s / link; cp -r real x; while :; do mv x y; mv link x; mv x link; mv y x; done',
    );
    await until(() => existsSync(join(mountPoint, 'link')));
    const texts = new Set<string>();
    for (let turn = 0; turn < 15; turn++) texts.add((await started('x')).text.replaceAll(/\/\S+/g, '…'));
    for (const text of texts) expect(text).toMatch(/^mine$|escapes the base|cannot access path/);
  });

  async function made(): Promise<{ readonly mountPoint: string }> {
    await engine.dockerOk('volume', 'create', 'parts');
    return { mountPoint: join(engine.dataRoot, 'volumes/parts/_data') };
  }
});

describe('an image', () => {
  it('is mounted read-only, whole or in part, and held', async () => {
    const result = await engine.docker([
      ...['run', '--name', 'im', '--mount', 'type=image,src=busybox,dst=/i'],
      ...['--mount', 'type=image,src=busybox,dst=/e,image-subpath=etc', 'busybox'],
      ...['sh', '-c', 'ls /i/bin/busybox /e; touch /i/x'],
    ]);
    expect(result.stdout).toBe('/i/bin/busybox\n\n/e:\ngroup\npasswd\n');
    expect(result.stderr).toContain('Read-only file system');
    const [first] = JSON.parse(await engine.dockerOk('inspect', '-f', '{{json .Mounts}}', 'im')) as readonly unknown[];
    expect(first).toMatchObject({ Type: 'image', Name: 'busybox', Destination: '/i', RW: false });
    expect(volumeMounts()).toEqual([]);
    await engine.dockerOk('start', 'im');
    await engine.dockerOk('rm', '-f', 'im');
    expect(await refusal('run', '--rm', '--mount', 'type=image,src=nope,dst=/i', 'busybox', 'true')).toContain(
      'No such image: nope',
    );
  });
});

describe('binds', () => {
  it('that are read-only are so all the way down, unless only the source is asked', async () => {
    const base = join(scratch, 'tree');
    mkdirSync(join(base, 'sub'), { recursive: true });
    await run('mount', ['-t', 'tmpfs', 'tmpfs', join(base, 'sub')], {});
    try {
      const touch = 'touch /b/x 2>/dev/null && echo top; touch /b/sub/x 2>/dev/null && echo sub; true';
      expect(await sh(['-v', `${base}:/b:ro`], touch)).toBe('');
      const sourceOnly = `type=bind,src=${base},dst=/b,readonly,bind-recursive=writable`;
      expect(await sh(['--mount', sourceOnly], touch)).toBe('sub');
      const all = `type=bind,src=${base},dst=/b,readonly,bind-recursive=readonly,bind-propagation=rprivate`;
      expect(await sh(['--mount', all], touch)).toBe('');
      expect(
        await sh(['--mount', `type=bind,src=${base},dst=/b,bind-recursive=disabled`], 'touch /b/sub/z; ls /b'),
      ).toBe('sub');
      expect(existsSync(join(base, 'sub/z'))).toBe(true);
    } finally {
      await run('umount', [join(base, 'sub')], {});
    }
  });

  it('are shared only where their source is', async () => {
    const shared = join(scratch, 'shared');
    const plain = join(scratch, 'plain');
    for (const path of [shared, plain]) {
      mkdirSync(path);
      await run('mount', ['--bind', path, path], {});
    }
    await run('mount', ['--make-private', plain], {});
    await run('mount', ['--make-shared', shared], {});
    try {
      await sh(
        ['--privileged', '-v', `${shared}:/s:rshared`],
        'mkdir -p /s/m; mount -t tmpfs none /s/m; touch /s/m/seen',
      );
      expect(existsSync(join(shared, 'm/seen'))).toBe(true);
      expect(await refusal('run', '--rm', '-v', `${plain}:/s:shared`, 'busybox', 'true')).toContain(
        `path ${plain} is mounted on ${plain} but it is not a shared mount`,
      );
      expect(await refusal('run', '--rm', '-v', `${plain}:/s:slave`, 'busybox', 'true')).toContain(
        `path ${plain} is mounted on ${plain} but it is not a shared or slave mount`,
      );
    } finally {
      await run('umount', ['-R', plain], {});
      await run('umount', ['-R', shared], {});
    }
  });

  it('of what holds the engine’s own directory let its mounts go', async () => {
    await engine.dockerOk('create', '--name', 'all', '-v', '/:/host', 'busybox', 'true');
    expect(await engine.dockerOk('inspect', '-f', '{{(index .Mounts 0).Propagation}}', 'all')).toBe('rslave');
    await engine.dockerOk('start', '-a', 'all');
  });
});

describe('tmpfs mounts', () => {
  it('take Docker’s options and refuse others', async () => {
    const mount = 'type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=0750';
    expect(await sh(['--mount', mount], 'stat -c %a /t; grep " /t " /proc/mounts')).toMatch(
      /^750\ntmpfs \/t tmpfs \S*nosuid,nodev,noexec\S*size=1024k,mode=750/,
    );
    expect(await sh(['--tmpfs', '/t:exec,uid=5'], 'stat -c %u /t; grep -c "noexec.* /t " /proc/mounts; true')).toBe(
      '5\n0',
    );
    expect(await refusal('run', '--rm', '--tmpfs', '/t:foo=1', 'busybox', 'true')).toContain(
      'invalid tmpfs option ["foo" "1"]',
    );
  });
});

describe('what is on disk', () => {
  it('of another engine is taken up', async () => {
    const place = join(engine.dataRoot, 'volumes/foreign/_data');
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, 'theirs'), '');
    await engine.end();
    await engine.boot();
    expect(await sh(['-v', 'foreign:/v'], 'ls /v')).toBe('theirs');
    expect(await engine.dockerOk('volume', 'prune', '-f')).not.toContain('foreign');
    expect(statSync(place).isDirectory()).toBe(true);
  });
});

describe('a container killed between mount and start', () => {
  it('leaves no mount', async () => {
    const mountsHere = (): readonly string[] =>
      readFileSync('/proc/self/mountinfo', 'utf8')
        .split('\n')
        .filter((line) => line.includes(engine.root));
    const before = mountsHere();
    await engine.dockerOk('volume', 'create', '--opt', 'type=tmpfs', '--opt', 'device=tmpfs', 'tx');
    for (let turn = 0; turn < 2; turn++) {
      await engine.dockerOk(
        'create',
        '--name',
        'cut',
        '-v',
        'tx:/v',
        '--mount',
        'type=image,src=busybox,dst=/i',
        'busybox',
        'sleep',
        '300',
      );
      const start = engine.api('POST', '/containers/cut/start').catch(() => null);
      await until(() => volumeMounts().length > 0);
      await engine.end('SIGKILL');
      await start;
      await engine.boot();
      await engine.dockerOk('rm', '-f', 'cut');
      expect(volumeMounts()).toEqual([]);
    }
    expect(mountsHere()).toEqual(before);
  });
});

describe('dockerd’s answers', () => {
  /** With names in place of what is different everywhere. */
  const plain = ({ code, stdout, stderr }: CommandResult): readonly unknown[] =>
    [code, stdout, stderr].map((one) =>
      typeof one !== 'string'
        ? one
        : one
            .replaceAll(/\/[^\s'":]*\/volumes\//g, 'ROOT/volumes/')
            .replaceAll(/[0-9a-f]{64}/g, 'ID')
            // 28 writes it small.
            .replaceAll('Invalid filter', 'invalid filter')
            .replaceAll(/\d{4}-\d\d-\d\dT[\d:]+(Z|[+-]\d\d:\d\d)/g, 'TIME')
            .replaceAll(/\n\nRun 'docker [a-z]+ --help' for more information/g, ''),
    );
  const create = (...options: readonly string[]): readonly string[] => ['create', ...options, 'busybox', 'true'];
  // A line each: dockerd keeps mounts in a map and shows them in any order; so does the CLI that sends binds.
  const MOUNTS =
    '{{range .Mounts}}{{json .}}{{println}}{{end}}' +
    '{{range .HostConfig.Binds}}{{json .}}{{println}}{{else}}{{json .HostConfig.Binds}}{{println}}{{end}}' +
    '{{json .HostConfig.Mounts}} {{json .Config.Volumes}}';
  const compared = (result: CommandResult): readonly unknown[] =>
    plain({
      ...result,
      stdout: result.stdout.split('\n').toSorted().join('\n'),
      // Ours goes on with the reason.
      stderr: result.stderr.replace(/(?<=no quota support): .*/, ''),
    });

  it.each<readonly (readonly string[])[]>([
    [['volume', 'create', '--opt', 'nope=1', 'x1']],
    [['volume', 'create', '--opt', 'type=nfs', 'x1']],
    [['volume', 'create', '--opt', 'o=addr=a', '--opt', 'device=x', 'x1']],
    [['volume', 'create', '--opt', 'size=1g', 'x1']],
    [['volume', 'create', 'a']],
    [['volume', 'create', 'a/b']],
    [['volume', 'inspect', 'nope']],
    [['volume', 'rm', 'nope']],
    [['volume', 'rm', '-f', 'nope']],
    [['volume', 'ls', '--filter', 'nope=1']],
    [['volume', 'ls', '--filter', 'dangling=perhaps']],
    [create('-v', 'aa:/x', '-v', 'bb:/x')],
    [create('-v', '/tmp:/x:nope')],
    [create('-v', '/tmp:/x:ro,rw')],
    [create('-v', 'aa:/x:shared')],
    [create('-v', '/tmp:/')],
    [create('-v', '/tmp:x')],
    [create('-v', '/tmp:/x:/y:/z')],
    [create('--mount', 'type=bind,src=/not/there,dst=/x')],
    [create('--mount', 'type=bind,src=/tmp,dst=/x,bind-propagation=nope')],
    [create('--mount', 'type=volume,src=aa,dst=x')],
    [create('--mount', 'type=nope,src=aa,dst=/x')],
    [create('--volumes-from', 'nobody')],
    [create('--name', 'lender'), create('--volumes-from', 'lender:nope'), ['rm', 'lender']],
    [
      [
        'volume',
        'create',
        '--label',
        'l=m',
        '--opt',
        'type=tmpfs',
        '--opt',
        'device=tmpfs',
        '--opt',
        'o=size=1m',
        'full',
      ],
      ['volume', 'inspect', 'full'],
      ['volume', 'ls', '--filter', 'label=l=m', '--filter', 'name=^fu', '--filter', 'driver=local'],
      ['volume', 'ls', '-q', '--filter', 'dangling=true', '--filter', 'name=full'],
      ['volume', 'rm', 'full'],
    ],
    [
      create('--name', 'mm', '-v', 'named:/a:ro', '-v', '/tmp:/b', '-v', '/tmp:/c:ro,rslave', '--tmpfs', '/d:size=1m'),
      ['inspect', '-f', MOUNTS, 'mm'],
      create('--name', 'nn', '--volumes-from', 'mm:ro'),
      ['inspect', '-f', '{{len .Mounts}} {{json .HostConfig.VolumesFrom}}', 'nn'],
      ['rm', 'nn'],
      ['volume', 'rm', 'named'],
      ['rm', 'mm'],
      ['volume', 'rm', 'named'],
    ],
    [
      create('--name', 'mm', '--mount', 'type=volume,src=named,dst=/a,volume-nocopy,readonly,volume-label=k=v'),
      ['inspect', '-f', MOUNTS, 'mm'],
      ['volume', 'inspect', 'named', '-f', '{{json .Labels}}'],
      ['rm', '-v', 'mm'],
      ['volume', 'rm', 'named'],
    ],
    [
      create(
        '--name',
        'mm',
        '--mount',
        'type=tmpfs,dst=/a,tmpfs-size=2m,tmpfs-mode=0700',
        '--mount',
        'type=bind,src=/tmp,dst=/b',
      ),
      ['inspect', '-f', MOUNTS, 'mm'],
      ['rm', 'mm'],
    ],
  ])('to %j', async (...commands) => {
    for (const command of commands) {
      const ours = await engine.docker(command);
      if (peer !== null) expect([command, compared(ours)]).toEqual([command, compared(await peer.docker(command))]);
      else expect(ours.code).not.toBeNull();
    }
  });
});
