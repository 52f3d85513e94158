/** Small verbs of images: what dockerd prints for the same commands, and what docker-py makes of it. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { peerAbsence, startDockerPeer, type DockerPeer } from '../support/docker-peer.ts';
import { run, TestEngine, type CommandResult } from '../support/engine.ts';
import { registryAbsence, startRegistry } from '../support/registry.ts';
import { syntheticImage, type SyntheticImage } from '../support/synthetic-image.ts';
import { tarOf } from '../support/tar-builder.ts';

/** As Docker saves images; equal layers are written once. */
function archiveOf(images: readonly { readonly image: SyntheticImage; readonly tags: readonly string[] }[]): Buffer {
  const layers = new Map(images.flatMap(({ image }) => image.layers.map(({ diffId, tar }) => [diffId, tar] as const)));
  const manifest = images.map(({ image, tags }) => ({
    Config: `${image.id.slice(7)}.json`,
    RepoTags: tags,
    Layers: image.layers.map(({ diffId }) => `${diffId.slice(7)}/layer.tar`),
  }));
  return tarOf([
    ...images.map(({ image }) => ({ name: `${image.id.slice(7)}.json`, data: image.config })),
    ...[...layers].map(([diffId, data]) => ({ name: `${diffId.slice(7)}/layer.tar`, data })),
    { name: 'manifest.json', data: JSON.stringify(manifest) },
  ]);
}

async function someImages(): Promise<{ readonly archive: Buffer; readonly id: string }> {
  const base = { base: 'b'.repeat(1000) };
  const config = (labels: object): object => ({ Cmd: ['/x'], Labels: labels });
  const one = await syntheticImage([base], { created: '2024-01-01T00:00:00Z', config: { Cmd: ['/x'] } });
  const two = await syntheticImage([base, { a: 'a'.repeat(200) }], {
    created: '2024-01-02T00:00:00Z',
    config: config({ tier: 'front' }) as Record<string, unknown>,
  });
  const three = await syntheticImage([base, { a: 'a'.repeat(200) }, { c: 'c'.repeat(30) }], {
    created: '2024-01-03T00:00:00Z',
    config: config({ tier: 'back' }) as Record<string, unknown>,
  });
  const foreign = await syntheticImage([base, { f: 'f' }], {
    created: '2024-01-04T00:00:00Z',
    architecture: 'arm',
    variant: 'v6',
    config: { Cmd: ['/x'] },
  });
  const archive = archiveOf([
    { image: one, tags: ['base:1'] },
    { image: two, tags: ['app:1'] },
    { image: three, tags: ['app:2', 'app:two'] },
    { image: foreign, tags: ['foreign/arm:1'] },
  ]);
  return { archive, id: two.id.slice(7) };
}

const NAMES = '{{.Repository}}:{{.Tag}}';

/** Told apart on purpose: ids of containers, and of images that a commit made. */
function comparable({ code, stdout, stderr }: CommandResult): CommandResult {
  const plain = (text: string): string =>
    text.replace(/container [0-9a-f]{12}/g, 'container ID').replace(/^[0-9a-f]{64}$/gm, 'ID');
  return { code, stdout: plain(stdout), stderr: plain(stderr) };
}

/** In order: each starts from what the ones before left. */
const STORY = (id: string): readonly (readonly string[])[] => [
  ['images', '-a', '--no-trunc', '--format', `${NAMES} {{.ID}} {{.Size}} {{.Digest}}`],
  ...['app', 'app:1', 'a*', '*/*', 'foreign/*', 'nosuch', 'docker.io/library/app'].map((pattern) => [
    'images',
    '--format',
    NAMES,
    pattern,
  ]),
  ...[
    'dangling=true',
    'dangling=false',
    'label=tier',
    'label=tier=back',
    'before=app:2',
    'since=app:1',
    'before=nosuch',
  ].map((filter) => ['images', '--format', NAMES, '--filter', filter]),
  ['images', '--format', NAMES, '--filter', 'since=base:1', '--filter', 'before=app:2'],
  ['history', '--no-trunc', '--format', '{{.ID}} {{.CreatedBy}} {{.Size}}', 'app:2'],
  ['history', 'nosuch'],
  ...[id, id.slice(0, 12), id.slice(0, 4), `sha256:${id.slice(0, 8)}`].map((ref) => ['inspect', '-f', '{{.Id}}', ref]),
  ['tag', 'app:1', 'new:tag'],
  ['tag', 'app:1', 'new'],
  ['tag', 'app:2', 'new:tag'],
  ['tag', 'nosuch', 'x'],
  ['tag', 'app:1', 'sha256:abc'],
  ['tag', id.slice(0, 10), 'localhost:5000/x/y'],
  ['images', '--format', `${NAMES} {{.ID}}`, 'new'],
  ['rmi', id.slice(0, 12)],
  ['rmi', 'new:latest', 'localhost:5000/x/y', 'nosuch:1', 'new:latest'],
  ['rmi', '-f', 'nosuch'],
  ['create', '--name', 'c1', '--network', 'none', 'app:1'],
  ['rmi', 'app:1'],
  ['rmi', id],
  ['tag', 'app:1', 'app:alias'],
  ['rmi', 'app:1'],
  ['ps', '-a', '--format', '{{.Names}} {{.Image}}'],
  ['rmi', '-f', 'app:alias'],
  ['ps', '-a', '--no-trunc', '--format', '{{.Names}} {{.Image}}'],
  ['system', 'df', '--format', '{{.Type}} {{.TotalCount}} {{.Active}} {{.Size}}'],
  ['image', 'prune', '-f'],
  ['rm', 'c1'],
  ['create', '--name', 'c2', '--network', 'none', '--pull', 'never', '--platform', 'linux/arm/v7', 'foreign/arm:1'],
  ['rm', 'c2'],
  ['create', '--name', 'c3', '--network', 'none', '--pull', 'never', '--platform', 'x/y/z/w', 'app:2'],
  ['image', 'prune', '-af', '--filter', 'until=nonsense'],
  ['image', 'prune', '-af', '--filter', 'label=tier=back'],
  ['image', 'prune', '-af', '--filter', 'until=2024-01-01T12:00:00', '--filter', 'label!=tier'],
  ['images', '--format', NAMES],
];

let engine: TestEngine;
let folder: string;
let images: Awaited<ReturnType<typeof someImages>>;

beforeAll(async () => {
  engine = await TestEngine.start();
  folder = mkdtempSync(join(tmpdir(), 'moored-verbs-'));
  images = await someImages();
  writeFileSync(join(folder, 'images.tar'), images.archive);
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

describe.skipIf(peerAbsence !== null)(
  `beside dockerd${peerAbsence === null ? '' : ` (skipped: ${peerAbsence})`}`,
  () => {
    let peer: DockerPeer;

    beforeAll(async () => {
      peer = await startDockerPeer();
    });
    afterAll(async () => {
      await peer[Symbol.asyncDispose]();
    });

    it('prints the same, with the same exit codes, all through a story', async () => {
      for (const side of [engine, peer]) await side.docker(['load', '-q', '-i', join(folder, 'images.tar')]);
      const differing: unknown[] = [];
      for (const words of STORY(images.id)) {
        const [ours, theirs] = [comparable(await engine.docker(words)), comparable(await peer.docker(words))];
        if (JSON.stringify(ours) !== JSON.stringify(theirs)) differing.push({ words, ours, theirs });
      }
      expect(differing).toEqual([]);
    });
  },
);

describe('a family of images', () => {
  it('is made by commits, shown by history and removed child first', async () => {
    await engine.docker(['load', '-q', '-i', join(folder, 'images.tar')]);
    await engine.dockerOk('create', '--name', 'f1', '--network', 'none', 'app:1', 'x');
    const middle = await engine.dockerOk('commit', 'f1');
    await engine.dockerOk('create', '--name', 'f2', '--network', 'none', middle, 'x');
    const top = await engine.dockerOk('commit', 'f2', 'top:1');
    expect(await engine.dockerOk('inspect', '-f', '{{.Parent}}', 'top:1')).toBe(middle);
    const ids = await engine.dockerOk('history', '-q', '--no-trunc', 'top:1');
    expect(ids.split('\n').slice(0, 3)).toEqual([top, middle, `sha256:${images.id}`]);
    expect(await engine.dockerOk('ps', '-a', '--filter', 'ancestor=app:1', '--format', '{{.Names}}')).toBe('f2\nf1');
    await engine.dockerOk('rm', 'f1', 'f2');
    expect(await engine.dockerOk('images', '-q', '--no-trunc', '--filter', 'dangling=true')).toBe('');
    expect(await engine.dockerOk('images', '-aq', '--no-trunc')).toContain(middle);
    const refused = await engine.docker(['rmi', '-f', middle]);
    expect([refused.code, refused.stderr]).toEqual([
      1,
      expect.stringContaining('(cannot be forced) - image has dependent child images'),
    ]);
    const removed = await engine.dockerOk('rmi', 'top:1');
    expect(removed.split('\n').filter((line) => [top, middle].some((id) => line.includes(id)))).toEqual([
      `Deleted: ${top}`,
      `Deleted: ${middle}`,
    ]);
    expect(await engine.dockerOk('image', 'inspect', '-f', '{{.Id}}', 'app:1')).toBe(`sha256:${images.id}`);
    await engine.dockerOk('image', 'prune', '-af');
    expect(await engine.dockerOk('images', '-aq')).toBe('');
  });
});

const pyAbsence =
  registryAbsence ??
  (spawnSync('/usr/bin/python3', ['-c', 'import docker']).status === 0 ? null : 'python3-docker is not installed');

describe.skipIf(pyAbsence !== null)(`docker-py${pyAbsence === null ? '' : ` (skipped: ${pyAbsence})`}`, () => {
  it('finds what its own tests look for', async () => {
    await using registry = await startRegistry();
    const script = new URL('../support/clients/docker_py_images.py', import.meta.url).pathname;
    const { code, stdout, stderr } = await run(
      '/usr/bin/python3',
      [script, join(folder, 'images.tar'), registry.host],
      {
        env: engine.cliEnvironment,
      },
    );
    expect([code, stderr]).toEqual([0, '']);
    expect(JSON.parse(stdout)).toEqual({
      loaded: ['app:1', 'app:2', 'app:two', 'base:1', 'foreign/arm:1'],
      short: true,
      labels: { tier: 'back' },
      history: ['Comment', 'Created', 'CreatedBy', 'Id', 'Size', 'Tags'],
      missing: [404, 'ImageNotFound'],
      tagged: true,
      list: [`${registry.host}/docker-py:x`],
      'by label': 1,
      dangling: 0,
      quiet: true,
      pushed: 'x',
      platforms: [{ architecture: 'amd64', os: 'linux' }],
      pulled: true,
      'of all tags': 1,
      'by digest': true,
      'in use': [409, 'APIError'],
      committed: [['committed:1'], 'here', true],
      parent: [409, 'APIError'],
      gone: [404, 'ImageNotFound'],
      back: [['app:two']],
      imported: true,
      pruned: { ImagesDeleted: null, SpaceReclaimed: 0 },
      df: ['BuildCache', 'Containers', 'Images', 'LayersSize', 'Volumes'],
      blank: 'refused',
      left: [],
    });
  });
});
