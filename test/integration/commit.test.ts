import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startPeer, tryCli, type Side } from '../bench/side-by-side.ts';
import { peerAbsence, skipNote } from '../support/docker-peer.ts';
import { busyboxTar, run, TestEngine, until } from '../support/engine.ts';

/*
 * Commit, export and diff by the docker CLI, and side by side with dockerd.
 */
const CHANGES =
  'echo hi >/new; mkdir -p /dir/in; rm /etc/group; touch -d @5 /tmp/t; mkfifo /tmp/p; echo a >>/etc/passwd; ' +
  'rm -r /root; mkdir /root; chmod 4755 /new; ln /new /hard; ln -s new /soft; echo secret >/data/s; echo ready; sleep 1000';

/** Runs a container that has made its changes. */
async function changed(docker: (...args: readonly string[]) => Promise<string>, name: string): Promise<void> {
  await docker(
    'run',
    '-d',
    '--name',
    name,
    '--network',
    'none',
    '-v',
    '/data',
    '-e',
    'A=1',
    '-l',
    'x=y',
    'busybox',
    'sh',
    '-c',
    CHANGES,
  );
  await until(async () => (await docker('logs', name)).includes('ready'));
}

describe.each(['overlay2', 'vfs'])('on %s', (driver) => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await TestEngine.start('--storage-driver', driver);
    await engine.importBusybox();
    await changed((...args) => engine.dockerOk(...args), 'box');
  });
  afterAll(async () => {
    await engine.dockerOk('rm', '-f', 'box');
    await engine[Symbol.asyncDispose]();
  });

  it('diff lists the changes', async () => {
    expect((await engine.dockerOk('diff', 'box')).split('\n')).toEqual([
      'A /data',
      'A /dir',
      'A /dir/in',
      'C /etc',
      'D /etc/group',
      'C /etc/passwd',
      'A /hard',
      'A /new',
      'A /soft',
      'C /tmp',
      'A /tmp/p',
      'A /tmp/t',
    ]);
  });

  it('a commit runs as its container was, without what was mounted', async () => {
    await engine.dockerOk('commit', '-a', 'me', '-m', 'why', '--change', 'CMD ["cat","/new"]', 'box', 'made:1');
    expect(await engine.dockerOk('run', '--rm', 'made:1')).toBe('hi');
    expect(await engine.dockerOk('run', '--rm', 'made:1', 'sh', '-c', 'ls /data; echo $A; stat -c %a /data /new')).toBe(
      '1\n755\n4755',
    );
    expect(await engine.dockerOk('ps', '--format', '{{.Names}} {{.Status}}')).toMatch(
      /^box Up (\d+ \w+|Less than a second)$/,
    );
    const [image] = JSON.parse(await engine.dockerOk('inspect', 'made:1')) as [Record<string, unknown>];
    expect(image).toMatchObject({ Author: 'me', Comment: 'why', Config: { Labels: { x: 'y' }, Cmd: ['cat', '/new'] } });
    await engine.dockerOk('rmi', 'made:1');
  });

  it('the parent may go, the layers stay', async () => {
    const id = await engine.dockerOk('commit', 'box', 'made:2');
    expect(id).toMatch(/^sha256:[0-9a-f]{64}$/);
    await engine.dockerOk('rmi', '-f', 'busybox');
    expect(await engine.dockerOk('run', '--rm', '--entrypoint', 'cat', 'made:2', '/new')).toBe('hi');
    await engine.importBusybox();
    await engine.dockerOk('rmi', 'made:2');
  });

  it('an export can be imported', async () => {
    const exported = join(engine.root, 'box.tar');
    await engine.dockerOk('export', '-o', exported, 'box');
    // As dockerd makes it, and not the runtime.
    expect((await engine.shell(`tar -tvf ${exported} dev/`)).stdout).toMatch(/^drwxr-xr-x 0\/0 .* dev\/\n$/);
    await engine.dockerOk('import', exported, 'again:1');
    expect(await engine.dockerOk('run', '--rm', 'again:1', 'sh', '-c', 'cat /hard; readlink /soft; ls /data')).toBe(
      'hi\nnew',
    );
    await engine.dockerOk('rmi', 'again:1');
  });

  it('tells dockerd’s errors', async () => {
    const refusal = async (...args: readonly string[]): Promise<string> => (await engine.docker(args)).stderr.trim();
    expect(await refusal('commit', 'nosuch')).toBe('Error response from daemon: No such container: nosuch');
    expect(await refusal('diff', 'nosuch')).toBe('Error response from daemon: No such container: nosuch');
    expect(await refusal('export', 'nosuch')).toContain('No such container: nosuch');
    expect(await refusal('commit', '--change', 'RUN x', 'box')).toBe(
      'Error response from daemon: RUN is not a valid change command',
    );
    const answer = await engine.api('POST', '/commit?container=box&repo=UPPER');
    expect([answer.status, answer.json]).toEqual([
      400,
      { message: 'invalid reference format: repository name (library/UPPER) must be lowercase' },
    ]);
  });

  it('a commit that is killed with the daemon leaves nothing, and nothing paused', async () => {
    await engine.dockerOk('exec', 'box', 'sh', '-c', 'head -c 60000000 /dev/urandom >/big');
    const images = await engine.dockerOk('images', '-aq');
    const commit = engine.api('POST', '/commit?container=box&repo=half').catch(() => null);
    const extracts = (): readonly string[] =>
      readdirSync(join(engine.dataRoot, driver)).filter((name) => name.startsWith('extract-'));
    const drafts = (): readonly string[] =>
      readdirSync(join(engine.dataRoot, 'content'), { recursive: true }) as string[];
    const before = drafts().length;
    await until(() => drafts().length > before);
    await engine.end('SIGKILL');
    await commit;
    await engine.boot();
    expect(await engine.dockerOk('ps', '--format', '{{.Names}} {{.State}}')).toBe('box running');
    expect(await engine.dockerOk('images', '-aq')).toBe(images);
    expect(extracts()).toEqual([]);
    expect(drafts().length).toBe(before);
    expect(await engine.dockerOk('exec', 'box', 'rm', '/big')).toBe('');
  });
});

describe.skipIf(peerAbsence !== null)(`beside dockerd${skipNote(peerAbsence)}`, () => {
  let engine: TestEngine;
  let peer: Side & AsyncDisposable;
  beforeAll(async () => {
    engine = await TestEngine.start();
    peer = await startPeer('no network');
  });
  afterAll(async () => {
    await peer[Symbol.asyncDispose]();
    await engine[Symbol.asyncDispose]();
  });

  it('says and makes the same', async () => {
    const moored = { name: 'moored', socketPath: engine.socketPath, pid: engine.pid };
    const [ours, theirs] = [await storyOf(moored), await storyOf(peer)];
    expect(ours.diff).toEqual(theirs.diff);
    expect(ours.config).toEqual(theirs.config);
    expect(ours.history).toEqual(theirs.history);
    expect(ours.size).toBe(theirs.size);
    expect(ours.refusals).toEqual(theirs.refusals);
    expect(ours.tar).toEqual(theirs.tar);
  });
});

/** Put by each engine into every root, in its own way. */
const ENGINES_OWN = /\s(\.dockerenv|dev\/.*|etc\/(hostname|hosts|resolv\.conf|mtab).*|proc\/|sys\/|bin\/.*)$/;

async function storyOf(side: Side) {
  const docker = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await tryCli(side, args);
    if (code !== 0) throw new Error(`${side.name}: ${args.join(' ')}: ${stderr}`);
    return stdout.trim();
  };
  await tryCli(side, ['import', '-', 'busybox:latest'], await busyboxTar());
  await changed(docker, 'box');
  const diff = (await docker('diff', 'box')).split('\n').sort();
  await docker(
    'commit',
    '-a',
    'me',
    '-m',
    'why',
    '--change',
    'ENTRYPOINT ["/bin/cat"]',
    '--change',
    'EXPOSE 80',
    'box',
    'made',
  );
  const config = JSON.parse(await docker('inspect', '-f', '{{json .Config}}', 'made')) as Record<string, unknown>;
  const history = await docker('history', '--no-trunc', '--format', '{{.CreatedBy}}|{{.Size}}|{{.Comment}}', 'made');
  const size = await docker(
    'inspect',
    '-f',
    '{{.Size}} {{.Author}} {{.Comment}} {{.Os}} {{len .RootFS.Layers}}',
    'made',
  );
  const refusals = [];
  for (const args of [
    ['commit', 'nosuch'],
    ['commit', '--change', 'run x', 'box'],
    ['commit', '--change', 'CMD', 'box'],
    ['diff', 'nosuch'],
    ['export', 'nosuch'],
  ]) {
    const { code, stderr } = await tryCli(side, args);
    refusals.push([code, stderr.trim()]);
  }
  const path = join(process.env['TMPDIR'] ?? '/tmp', `${side.name}-${String(process.pid)}.tar`);
  await docker('export', '-o', path, 'box');
  const listed = await run('tar', ['-tvf', path, '--numeric-owner', '--full-time'], {});
  await run('rm', [path], {});
  // Times of what was made just now differ.
  const tar = listed.stdout
    .split('\n')
    .filter((line) => line !== '' && !ENGINES_OWN.test(line))
    .map((line) => line.replace(/20\d\d-\d\d-\d\d [\d:.]+/, 'now').replace(/ +/g, ' '))
    .sort();
  await docker('rm', '-f', '-v', 'box');
  // Which fields are left out is the API version's: what only a container has is gone from 1.50 on.
  const { Env, Cmd, Entrypoint, Labels, ExposedPorts, Volumes } = config;
  return { diff, config: { Env, Cmd, Entrypoint, Labels, ExposedPorts, Volumes }, history, size, refusals, tar };
}
