import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { peerAbsence, startDockerPeer, type DockerPeer } from '../support/docker-peer.ts';
import { busyboxTar, run, TestEngine, until } from '../support/engine.ts';

/*
 * `docker cp` by the docker CLI: out of and into what runs, is paused, has ended and was never started; side by side with
 * dockerd; and against a container that swaps paths all the time.
 */
const CONTENT =
  'echo v > /vol/f; echo t > /tmpf/f; mkdir -p /a/b; echo hi > /a/b/c; ln -s /a/b /link; ln -s nowhere /dangling; ' +
  'ln -s ../a/b/c /root/up; ln /a/b/c /a/hard; mkfifo /a/fifo; chmod 4755 /a/b/c; chown 5:6 /a/b/c; ' +
  'touch -d 2020-01-02T03:04:05 /a/b/c; echo ready; exec sleep 1000';

interface Side {
  readonly docker: TestEngine['docker'];
  /** A directory of its own on the host. */
  readonly place: string;
}

async function ok({ docker }: Side, ...args: readonly string[]): Promise<string> {
  const result = await docker(args);
  if (result.code !== 0) throw new Error(`docker ${args.join(' ')}: ${result.stderr}`);
  return result.stdout.trimEnd();
}

async function runContent(side: Side, name: string): Promise<void> {
  const { place } = side;
  mkdirSync(join(place, 'bound'), { recursive: true });
  writeFileSync(join(place, 'bound', 'b'), 'bound\n');
  const mounts = ['-v', `${name}-vol:/vol`, '-v', `${join(place, 'bound')}:/bnd:ro`, '--tmpfs', '/tmpf'];
  await ok(side, 'run', '-d', '--name', name, '--network', 'none', ...mounts, 'busybox', 'sh', '-c', CONTENT);
  await until(async () => (await ok(side, 'logs', name)).includes('ready'));
}

async function removeContent(side: Side, name: string): Promise<void> {
  await ok(side, 'rm', '-f', name);
  await ok(side, 'volume', 'rm', `${name}-vol`);
}

/** What a tar holds: kind and mode, owner, size where it counts, name and where it leads. Owners without names, as docker 28 has them. */
async function entries({ docker, place }: Side, ...args: readonly string[]): Promise<readonly string[]> {
  const { stdout, stderr, code } = await run(
    'sh',
    ['-c', 'docker cp "$@" - | TZ=UTC tar tv --numeric-owner --full-time', 'sh', ...args],
    { env: environmentOf(docker) },
  );
  if (code !== 0) return [stderr.split('\n')[0] ?? ''];
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) =>
      line.replace(/\d{4}-\d\d-\d\d [\d:.]+/, (time) => (time.startsWith('2020') ? time.slice(0, 19) : 'T')),
    )
    .map((line) => line.replaceAll(place, 'PLACE').replaceAll(/ +/g, ' '));
}

const environments = new WeakMap<TestEngine['docker'], NodeJS.ProcessEnv>();

function environmentOf(docker: TestEngine['docker']): NodeJS.ProcessEnv {
  const found = environments.get(docker);
  if (found === undefined) throw new Error('a side without an environment');
  return found;
}

const scratch = mkdtempSync(join(tmpdir(), 'moored-copy-'));
let engine: TestEngine;
let ours: Side;

function sideOf(name: string, docker: TestEngine['docker'], env: NodeJS.ProcessEnv): Side {
  environments.set(docker, env);
  const place = join(scratch, name);
  mkdirSync(place);
  return { docker, place };
}

beforeAll(async () => {
  engine = await TestEngine.start();
  await engine.importBusybox();
  ours = sideOf('ours', (...given) => engine.docker(...given), engine.cliEnvironment);
  await runContent(ours, 'box');
});

afterAll(async () => {
  await removeContent(ours, 'box');
  expect(engine.log()).not.toContain('could not be given back');
  await engine[Symbol.asyncDispose]();
  rmSync(scratch, { recursive: true, force: true });
});

describe('what is mounted', () => {
  it('shows volumes, binds and tmpfs as they are in the container, and nothing of the kernel', async () => {
    expect((await entries(ours, 'box:/vol')).map((line) => line.split(' ').at(-1))).toEqual(['vol/', 'vol/f']);
    expect((await entries(ours, 'box:/bnd')).map((line) => line.split(' ').at(-1))).toEqual(['bnd/', 'bnd/b']);
    expect((await entries(ours, 'box:/tmpf')).map((line) => line.split(' ').at(-1))).toEqual(['tmpf/', 'tmpf/f']);
    expect(await entries(ours, 'box:/proc')).toHaveLength(1);
    expect(await entries(ours, 'box:/sys')).toHaveLength(1);
    const hosts = await run('sh', ['-c', 'docker cp box:/etc/hosts - | tar xO'], { env: engine.cliEnvironment });
    expect(hosts.stdout).toContain('localhost');
  });

  it('leaves a read-only bind alone', async () => {
    const file = join(ours.place, 'no');
    writeFileSync(file, 'no');
    const result = await ours.docker(['cp', file, 'box:/bnd/']);
    expect(result).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('mounted volume is marked read-only') as unknown,
    });
    // Past the check of the target: by a link inside the archive's own directory.
    await ok(ours, 'exec', 'box', 'ln', '-s', '/bnd', '/root/through');
    const tar = await run(
      'sh',
      ['-c', 'd=$(mktemp -d); mkdir $d/through; echo x > $d/through/evil; tar -C $d -c through/evil; rm -r $d'],
      {},
    );
    const put = await engine.api('PUT', '/containers/box/archive?path=/root', Buffer.from(tar.stdout));
    expect(put.status).not.toBe(200);
    expect(put.body).toContain('read-only file system');
    expect(readdirSync(join(ours.place, 'bound'))).toEqual(['b']);
  });
});

describe('states', () => {
  it('copies from and to what is paused', async () => {
    await ok(ours, 'pause', 'box');
    try {
      expect(await entries(ours, 'box:/a/b/c')).toHaveLength(1);
      const file = join(ours.place, 'paused');
      writeFileSync(file, 'paused');
      await ok(ours, 'cp', file, 'box:/vol/paused');
    } finally {
      await ok(ours, 'unpause', 'box');
    }
    expect(await ok(ours, 'exec', 'box', 'cat', '/vol/paused')).toBe('paused');
  });

  it('copies from and to what was never started, and what has ended, and leaves no mount', async () => {
    await ok(ours, 'create', '--name', 'still', '-v', 'still-vol:/x/vol', 'busybox', 'cat', '/x/vol/in', '/root/in');
    const file = join(ours.place, 'in');
    writeFileSync(file, 'given\n');
    await ok(ours, 'cp', file, 'still:/x/vol/');
    await ok(ours, 'cp', file, 'still:/root/in');
    expect(mountsOf(engine)).toEqual([]);
    expect(await ok(ours, 'start', '-a', 'still')).toBe('given\ngiven');
    expect((await entries(ours, 'still:/x/vol')).at(-1)).toMatch(/vol\/in$/);
    await until(() => mountsOf(engine).length === 0);
    await removeContent(ours, 'still');
  });

  it('a start waits for copies of what does not run', async () => {
    await ok(ours, 'create', '--name', 'busy', 'busybox', 'true');
    const started = await engine.shell(
      `head -c 30000000 /dev/zero > ${join(scratch, 'zeros')}; docker cp ${join(scratch, 'zeros')} busy:/zeros; ` +
        'docker cp busy:/zeros - > /dev/null & docker start -a busy; code=$?; wait; docker diff busy; exit $code',
    );
    expect(started).toMatchObject({ code: 0, stdout: expect.stringContaining('A /zeros') as unknown });
    await until(() => mountsOf(engine).length === 0);
    await ok(ours, 'rm', 'busy');
  });
});

/** Roots that are mounted although nothing runs; the one of `box` is not among them. */
function mountsOf({ root }: TestEngine): readonly string[] {
  const points = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .flatMap((line) => line.split(' ')[4] ?? [])
    .filter((point) => point.startsWith(root) && point.endsWith('/rootfs'));
  return points.slice(1);
}

describe('archives', () => {
  it.each(['', 'z', 'j', 'J', '--zstd'])('takes tars compressed with %s', async (how) => {
    const flag = how.startsWith('--') || how === '' ? how : `-${how}`;
    const made = await engine.shell(
      `d=$(mktemp -d); echo ${how} > $d/f; tar ${flag} -C $d -c f | docker cp - box:/tmp; code=$?; rm -r $d; exit $code`,
    );
    expect(made).toMatchObject({ code: 0, stderr: '' });
    expect(await ok(ours, 'exec', 'box', 'cat', '/tmp/f')).toBe(how);
  });

  it('keeps owners, modes, times, links, devices, holes and attributes', async () => {
    await ok(ours, 'exec', 'box', 'mkdir', '/mnt');
    const again = await engine.shell(
      'd=$(mktemp -d); cd $d; echo x > f; chown 7:8 f; chmod 2640 f; touch -d @86400 f; ln f h; ln -s f s; mknod n c 1 3; mkfifo p; ' +
        'truncate -s 5M holes; tar -S -c . | docker cp - box:/mnt/; code=$?; cd /; rm -r $d; exit $code',
    );
    expect(again).toMatchObject({ code: 0, stderr: '' });
    const stat = await ok(
      ours,
      'exec',
      'box',
      'sh',
      '-c',
      'cd /mnt; stat -c "%n %a %u:%g %h %s %Y %F" f h holes; stat -c "%n %F %t,%T" n p s; stat -c %b holes',
    );
    expect(stat.split('\n').slice(0, 2)).toEqual([
      'f 2640 7:8 2 2 86400 regular file',
      'h 2640 7:8 2 2 86400 regular file',
    ]);
    expect(stat).toContain('holes 644 0:0 1 5242880');
    expect(stat).toContain('n character special file 1,3');
    expect(stat).toContain('p fifo');
    expect(stat).toContain('s symbolic link');
    expect(stat.split('\n').at(-1)).toBe('0');
    const back = await engine.shell(
      'docker cp box:/mnt/holes - | tar xO | cmp - /dev/zero; docker cp box:/mnt/holes - | tar t',
    );
    expect(back.stdout).toContain('holes');
    expect(back.stdout).not.toContain('GNUSparseFile');
  });

  it('gives all to the container’s user with -a', async () => {
    await ok(ours, 'create', '--name', 'mine', '-u', 'nobody', '-v', 'mine-vol:/w', 'busybox', 'true');
    const file = join(ours.place, 'new');
    writeFileSync(file, 'new');
    await ok(ours, 'cp', '-a', file, 'mine:/w/owned');
    expect((await entries(ours, 'mine:/w/owned'))[0]).toContain(' 65534/65534 ');
    await removeContent(ours, 'mine');
  });

  it('refuses broken archives, what is no directory, and what has no path', async () => {
    const put = async (path: string, body: Buffer) => {
      const { status, json } = await engine.api('PUT', `/containers/box/archive${path}`, body);
      return [status, (json as { message?: string } | undefined)?.message];
    };
    const tar = await busyboxTar();
    expect(await put('?path=/a/b/c', tar)).toEqual([400, 'extraction point is not a directory']);
    expect(await put('?path=/none', tar)).toEqual([404, 'Could not find the file /none in container box']);
    expect(await put('', tar)).toEqual([400, 'bad parameter: pathcannot be empty']);
    expect(await put('?path=/tmp', Buffer.alloc(700, 'x'))).toEqual([400, 'archive/tar: invalid tar header']);
    expect(await put('?path=/tmp', Buffer.from('1f8b0800aaaaaaaaaaaaaaaaaaaaaaaa', 'hex'))).toEqual([
      400,
      expect.any(String),
    ]);
    expect(await put('?path=/tmp', tar.subarray(0, 5000))).toEqual([400, 'unexpected EOF']);
    expect((await engine.api('GET', '/containers/none/archive?path=/')).status).toBe(404);
    expect((await engine.api('GET', '/containers/box/archive?path=/a/b/c/')).status).toBe(400);
  });

  it('tells of it by events', async () => {
    const since = String(Math.floor(Date.now() / 1000) - 1);
    expect(await entries(ours, 'box:/a/b/c')).toHaveLength(1);
    await ok(ours, 'cp', join(ours.place, 'bound', 'b'), 'box:/tmp/');
    const told = await ok(
      ours,
      'events',
      '--since',
      since,
      '--until',
      String(Date.now() / 1000 + 0.1),
      '--format',
      '{{.Action}}',
      '--filter',
      'container=box',
    );
    expect(told.split('\n')).toEqual(expect.arrayContaining(['archive-path', 'extract-to-dir']));
  });
});

/** Arguments of `docker cp` that are tried on both sides; HERE is the side's own directory. */
const OUT: readonly (readonly string[])[] = [
  ...[
    '/a',
    '/a/',
    '/a/.',
    '/a/b/c',
    '/link',
    '/link/',
    '/link/.',
    '/dangling',
    '/root/up',
    '/vol',
    '/vol/.',
    '/bnd',
  ].map((path) => [`box:${path}`]),
  ...['/tmp/../a/./b', '/a/fifo', '/nix', '/a/b/c/d', '/etc/passwd'].map((path) => [`box:${path}`]),
  ['-L', 'box:/link'],
  ['-L', 'box:/root/up'],
  ['-a', 'box:/a/b/c'],
];
const BOTH_WAYS: readonly string[] = [
  'HERE/new box:/vol/',
  'HERE/new box:/vol/g',
  'HERE/new box:/bnd/',
  'HERE/new box:/link',
  'HERE/new box:/link/',
  'HERE/new box:/nodir/x',
  'HERE/new box:/a',
  'HERE/new box:/a/b/c',
  'HERE/dir box:/a',
  'HERE/dir box:/a/made',
  'HERE/dir/. box:/a',
  'HERE/dir box:/a/b/c',
  'HERE/new box:/dangling',
  'HERE/dir/e/l box:/a/ll',
  '-L HERE/dir/e/l box:/a/lll',
  'HERE/nix box:/a',
  'HERE/new box:/nowhere2/',
  'box:/a/b/c HERE/out/',
  'box:/a/b HERE/out/',
  'box:/a/b HERE/out/renamed',
  'box:/link HERE/out/',
  'box:/nix HERE/out/',
  'box:/a/b/. HERE/out/contents',
  'box:/a/b HERE/out/c',
  'box:/a/b/c HERE/nodir/x/',
  'box:/a other:/b',
];

describe.skipIf(peerAbsence !== null)(
  `side by side with dockerd${peerAbsence === null ? '' : ` (skipped: ${peerAbsence})`}`,
  () => {
    let peer: DockerPeer;
    let theirs: Side;
    beforeAll(async () => {
      peer = await startDockerPeer();
      const env = { ...process.env, DOCKER_HOST: `unix://${peer.socketPath}`, DOCKER_CLI_HINTS: 'false' };
      theirs = sideOf('theirs', peer.docker, env);
      await peer.docker(['import', '-', 'busybox:latest'], { stdin: await busyboxTar() });
      await removeContent(ours, 'box');
      await Promise.all([runContent(ours, 'box'), runContent(theirs, 'box')]);
      for (const { place } of [ours, theirs]) {
        mkdirSync(join(place, 'dir', 'e'), { recursive: true });
        mkdirSync(join(place, 'out'));
        writeFileSync(join(place, 'new'), 'new\n');
        writeFileSync(join(place, 'dir', 'e', 'f'), 'x\n');
        symlinkSync('f', join(place, 'dir', 'e', 'l'));
      }
    });
    afterAll(async () => {
      await removeContent(theirs, 'box');
      await peer[Symbol.asyncDispose]();
    });

    it('the same tars come out', async () => {
      for (const args of OUT) {
        // dockerd 20.10 shows its own path of the root where docker 28 shows the container's.
        const plain = (lines: readonly string[]) => lines.map((line) => line.replace(/\/\S+\/merged\//, '/'));
        expect([args, plain(await entries(ours, ...args))]).toEqual([args, plain(await entries(theirs, ...args))]);
      }
    });

    it('the same is in what was never started', async () => {
      await Promise.all([ours, theirs].map((side) => ok(side, 'create', '--name', 'fresh', 'busybox', 'true')));
      for (const path of ['/etc/resolv.conf', '/etc/hosts', '/.dockerenv']) {
        const [mine, its] = await Promise.all([ours, theirs].map((side) => entries(side, `fresh:${path}`)));
        expect([path, mine]).toEqual([path, its]);
        expect(mine?.[0]).toMatch(/^-rwxr-xr-x 0\/0 0 T /);
      }
      await Promise.all([ours, theirs].map((side) => ok(side, 'rm', 'fresh')));
    });

    it('the same is said and left when copying both ways', async () => {
      for (const line of BOTH_WAYS) {
        const [mine, its] = await Promise.all([ours, theirs].map((side) => told(side, line)));
        expect([line, mine]).toEqual([line, its]);
      }
      const inside = ['exec', 'box', 'sh', '-c', 'find /a /vol /link /dangling /nowhere | sort; cat /a/b/c /a/new'];
      expect(await ok(ours, ...inside)).toBe(await ok(theirs, ...inside));
      expect(tree(join(ours.place, 'out'))).toEqual(tree(join(theirs.place, 'out')));
    });

    it('the same header is sent', async () => {
      for (const path of ['/a', '/a/', '/a/b/c', '/link', '/dangling', '/', '.', 'a', '/root/up', '/a/fifo', '/nix']) {
        const header = async (socketPath: string): Promise<string> => {
          const { stdout } = await run(
            'curl',
            ['-sI', '--unix-socket', socketPath, `http://d/v1.41/containers/box/archive?path=${path}`],
            {},
          );
          const text = /^x-docker-container-path-stat: (\S+)/im.exec(stdout)?.[1] ?? '';
          const said = Buffer.from(text, 'base64')
            .toString()
            .replace(/"mtime":"[^"]*"/, '')
            .replace(/"size":\d+,"mode":2147/, '"mode":2147');
          return `${stdout.split(' ')[1] ?? ''} ${said}`;
        };
        expect([path, await header(engine.socketPath)]).toEqual([path, await header(peer.socketPath)]);
      }
    });
  },
);

/** Exit code and words of a copy; the CLI's own log lines about a pipe that was closed early are left out. */
async function told({ docker, place }: Side, line: string): Promise<readonly unknown[]> {
  const { code, stdout, stderr } = await docker(['cp', ...line.replaceAll('HERE', place).split(' ')]);
  const words = stderr
    .replaceAll(/^time=.*\n/gm, '')
    .replaceAll(place, 'PLACE')
    .replaceAll(/\/\S+\/merged\//g, '/');
  return [code, stdout.replaceAll(place, 'PLACE'), words];
}

function tree(directory: string): readonly string[] {
  return (readdirSync(directory, { recursive: true }) as string[]).toSorted();
}

/** Swaps directories, files and links to places of the host, as fast as it can. */
const SWAPPING = `mkdir -p /w/d /w/o; echo own > /w/d/f; echo own > /w/o/f; echo ready
while :; do
  mv /w/d /w/x; ln -s HOST /w/d; rm /w/d; mv /w/x /w/d
  mv /w/d /w/x; ln -s /../../../../../..HOST /w/d; rm /w/d; mv /w/x /w/d
  rm -f /w/d/f; ln -s HOST/secret /w/d/f; rm -f /w/d/f; ln -s /proc/1/root/HOST/secret /w/d/f; rm -f /w/d/f; echo own > /w/d/f
done`;

describe('a container that swaps paths while copies run', () => {
  it('is never led to the host, nor leads there', async () => {
    const host = join(scratch, 'host');
    mkdirSync(join(host, 'sub'), { recursive: true });
    writeFileSync(join(host, 'secret'), 'SECRET OF THE HOST\n', { mode: 0o600 });
    const before = tree(host);
    await ok(
      ours,
      'run',
      '-d',
      '--name',
      'swapping',
      '--network',
      'none',
      'busybox',
      'sh',
      '-c',
      SWAPPING.replaceAll('HOST', host),
    );
    await until(async () => (await ok(ours, 'logs', 'swapping')).includes('ready'));
    const tar = await run(
      'sh',
      [
        '-c',
        'd=$(mktemp -d); mkdir -p $d/sub; echo in > $d/planted; echo in > $d/sub/planted; chmod 777 $d/planted; tar -C $d -c planted sub; rm -r $d',
      ],
      {},
    );
    const payload = Buffer.from(tar.stdout, 'latin1');
    let seen = 0;
    for (let round = 0; round < 40; round += 1) {
      const answers = await Promise.all([
        engine.api('GET', '/containers/swapping/archive?path=/w'),
        engine.api('GET', '/containers/swapping/archive?path=/w/d/'),
        engine.api('GET', '/containers/swapping/archive?path=/w/d/f'),
        engine.api('HEAD', '/containers/swapping/archive?path=/w/d/f'),
        engine.api('PUT', '/containers/swapping/archive?path=/w/d', payload),
        engine.api('PUT', '/containers/swapping/archive?path=/w&noOverwriteDirNonDir=1', payload),
      ]);
      seen += answers.filter(({ status }) => status === 200).length;
      for (const { body, status } of answers) {
        expect(body).not.toContain('SECRET OF THE HOST');
        expect(status).not.toBe(501);
      }
    }
    expect(seen).toBeGreaterThan(40);
    expect(tree(host)).toEqual(before);
    expect(readFileSync(join(host, 'secret'), 'utf8')).toBe('SECRET OF THE HOST\n');
    expect(existsSync(join(host, 'planted'))).toBe(false);
    await ok(ours, 'rm', '-f', 'swapping');
  });
});
