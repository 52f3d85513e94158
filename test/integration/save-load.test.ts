import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { peerAbsence, startDockerPeer, type DockerPeer } from '../support/docker-peer.ts';
import { busyboxTar, TestEngine, until, type CommandResult } from '../support/engine.ts';
import { sha256, syntheticImage, tarOf as filesTar, type SyntheticImage } from '../support/synthetic-image.ts';
import { tarOf } from '../support/tar-builder.ts';

/** As Docker saves it: every layer plain. */
function dockerArchive(image: SyntheticImage, tags: readonly string[]): Buffer {
  const layers = image.layers.map((layer, index) => ({ name: `${String(index)}/layer.tar`, data: layer.tar }));
  const manifest = [{ Config: 'config.json', RepoTags: tags, Layers: layers.map(({ name }) => name) }];
  return tarOf([
    { name: 'config.json', data: image.config },
    ...layers,
    { name: 'manifest.json', data: JSON.stringify(manifest) },
  ]);
}

const random = (seed: string, bytes: number): Buffer =>
  Buffer.concat(
    Array.from({ length: bytes / 32 }, (_, at) => Buffer.from(sha256(`${seed}${String(at)}`).slice(7), 'hex')),
  );

let engine: TestEngine;
let image: SyntheticImage;
let folder: string;

beforeAll(async () => {
  engine = await TestEngine.start();
  folder = mkdtempSync(join(tmpdir(), 'moored-save-'));
  image = await syntheticImage([{ a: random('a', 3 << 20) }, { b: random('b', 1 << 20) }, { c: 'small' }]);
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const ingests = (): readonly string[] => readdirSync(join(engine.dataRoot, 'content', 'ingest'));
const blobs = (): readonly string[] => readdirSync(join(engine.dataRoot, 'content', 'blobs', 'sha256'));

describe.skipIf(peerAbsence !== null)(
  `beside dockerd${peerAbsence === null ? '' : ` (skipped: ${peerAbsence})`}`,
  () => {
    let peer: DockerPeer;

    beforeAll(async () => {
      peer = await startDockerPeer();
      const tar = await busyboxTar();
      for (const side of [engine, peer]) {
        expect((await side.docker(['load'], { stdin: dockerArchive(image, ['three:1', 'three:also']) })).code).toBe(0);
      }
      expect((await engine.docker(['import', '-', 'bb:1'], { stdin: tar })).code).toBe(0);
    });
    afterAll(async () => {
      await peer[Symbol.asyncDispose]();
    });

    const idOf = async (side: Pick<DockerPeer, 'docker'>, name: string): Promise<string> =>
      (await side.docker(['image', 'inspect', '-f', '{{.Id}} {{json .RootFS.Layers}}', name])).stdout;

    it('goes there and back with the same ids and names', async () => {
      const archive = join(folder, 'ours.tar');
      expect(await engine.docker(['save', '-o', archive, 'three', 'bb:1'])).toEqual({
        code: 0,
        stdout: '',
        stderr: '',
      });
      await peer.docker(['rmi', 'three:1', 'three:also']);
      const there = await peer.docker(['load', '-i', archive]);
      expect(there).toEqual({
        code: 0,
        stdout: 'Loaded image: three:1\nLoaded image: three:also\nLoaded image: bb:1\n',
        stderr: '',
      });
      const before = await idOf(engine, 'three:1');
      expect(await idOf(peer, 'three:also')).toBe(before);
      expect(await idOf(peer, 'bb:1')).toBe(await idOf(engine, 'bb:1'));
      const back = join(folder, 'theirs.tar');
      expect((await peer.docker(['save', '-o', back, 'three:1', 'bb:1'])).code).toBe(0);
      await engine.docker(['rmi', 'three:1', 'three:also', 'bb:1']);
      expect(blobs()).toEqual([]);
      const here = await engine.docker(['load', '-i', back]);
      expect(here.stdout.split('\n').toSorted()).toEqual(['', 'Loaded image: bb:1', 'Loaded image: three:1']);
      expect(await idOf(engine, 'three:1')).toBe(before);
      expect(await engine.dockerOk('run', '--rm', '--network', 'none', 'bb:1', 'echo', 'alive')).toBe('alive');
      await engine.docker(['tag', 'three:1', 'three:also']);
    });

    it('goes by id, without a name', async () => {
      const id = (await engine.dockerOk('images', '-q', '--no-trunc', 'three:1')).trim();
      const saved = await engine.docker(['save', '-o', join(folder, 'id.tar'), id.slice(7, 19)]);
      expect(saved.code).toBe(0);
      for (const side of [engine, peer]) {
        await side.docker(['rmi', '-f', 'three:1', 'three:also']);
        expect((await side.docker(['load', '-i', join(folder, 'id.tar')])).stdout).toBe(`Loaded image ID: ${id}\n`);
        for (const tag of ['three:1', 'three:also']) await side.docker(['tag', id, tag]);
      }
    });

    it.each<readonly string[]>([
      ['save', 'nosuch'],
      ['save', 'nosuch:1'],
      ['save', 'three:1', 'nosuch:1'],
      ['save', 'abcdef0123'],
      ['save', 'sha256:abcdef'],
      ['load', '-i', '/nonexistent/archive.tar'],
      ['load', '-i', '/etc/passwd'],
      ['import', '/nonexistent/archive.tar'],
      ['import', '-c', 'foo bar', '-'],
      ['import', '-', 'UPPER:1'],
      ['import', 'http://127.0.0.1:1/x.tar'],
    ])('says what dockerd says: %s %s %s', async (...args: readonly string[]) => {
      const said = async (side: Pick<DockerPeer, 'docker'>): Promise<CommandResult> => {
        const { code, stdout, stderr } = await side.docker(args, { stdin: await busyboxTar() });
        return { code, stdout, stderr: stderr.replace(/repository name \(\S+\) must/, 'repository name must') };
      };
      expect(await said(engine)).toEqual(await said(peer));
    });

    it('tells of layers, of names that move, and of itself in events as dockerd', async () => {
      const other = dockerArchive(await syntheticImage([{ d: random('d', 1 << 20) }]), ['three:1', 'fresh:1']);
      const records = async (side: { readonly socketPath: string }): Promise<readonly string[]> =>
        (await post(side.socketPath, '/images/load?quiet=0', other)).split('\r\n').filter((line) => line !== '');
      const [ours, theirs] = [await records(engine), await records(peer)];
      // How often a bar moves is chance; its last state, its words and all after it are not.
      expect(ours.slice(-4)).toEqual(theirs.slice(-4));
      expect(ours.at(-4)).toContain('"status":"Loading layer"');
      await engine.docker(['tag', image.id, 'three:1']);
      const events = await engine.dockerOk(
        'events',
        '--since',
        '10m',
        '--until',
        '0s',
        '--format',
        '{{.Type}} {{.Action}}',
      );
      expect(events.split('\n')).toEqual(expect.arrayContaining(['image save', 'image load', 'image import']));
    });
  },
);

describe('import of an address', () => {
  let server: Server;
  let tar: Buffer;
  let address: string;
  const seen: string[] = [];

  beforeAll(async () => {
    tar = await filesTar({ 'etc/word': 'fetched\n' });
    server = createServer((incoming, response) => {
      seen.push(`${incoming.url ?? ''} ${incoming.headers.authorization ?? '-'}`);
      switch (incoming.url) {
        case '/root.tar':
          response.end(tar);
          return;
        case '/moved':
          response.writeHead(302, { location: '/root.tar.gz' }).end();
          return;
        case '/root.tar.gz':
          response.end(gzipSync(tar));
          return;
        case '/half':
          response.writeHead(200, { 'content-length': String(tar.length) });
          response.write(tar.subarray(0, 700), () => response.destroy());
          return;
        default:
          response.writeHead(404).end('no such file here\n');
      }
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    address = `127.0.0.1:${String((server.address() as AddressInfo).port)}`;
  });
  afterAll(() => {
    server.close();
  });

  it('fetches, follows, and says where it comes from, without a password', async () => {
    const plain = await engine.docker(['import', `http://${address}/root.tar`, 'fetched:1']);
    expect({
      ...plain,
      stdout: plain.stdout.split('\n').filter((line) => !line.startsWith('Importing')),
    }).toMatchObject({
      code: 0,
      stdout: [`Downloading from http://${address}/root.tar`, expect.stringMatching(/^sha256:[0-9a-f]{64}$/), ''],
    });
    const secret = await engine.docker(['import', `http://me:geheim@${address}/moved`, 'fetched:2']);
    expect(secret.code).toBe(0);
    expect(secret.stdout).toContain(`Downloading from http://me:xxxxx@${address}/moved\n`);
    expect(seen).toContain(`/moved Basic ${Buffer.from('me:geheim').toString('base64')}`);
    const comment = await engine.dockerOk('image', 'inspect', '-f', '{{.Comment}}', 'fetched:2');
    expect(comment).toBe(`Imported from http://me:xxxxx@${address}/moved`);
    expect(engine.log()).not.toContain('geheim');
    expect(await engine.dockerOk('image', 'inspect', '-f', '{{index .RootFS.Layers 0}}', 'fetched:2')).toBe(
      sha256(tar),
    );
  });

  it('tells what went wrong and leaves nothing', async () => {
    const before = blobs();
    const missing = await engine.docker(['import', `http://${address}/nope`]);
    expect(missing).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(
        `failed to GET http://${address}/nope with status 404 Not Found: no such file here`,
      ),
    });
    expect((await engine.docker(['import', `http://${address}/half`])).code).toBe(1);
    await until(async () => ingests().length === 0);
    expect(blobs()).toEqual(before);
  });
});

describe('load that is cut off', () => {
  it('leaves nothing when the client goes', async () => {
    const before = blobs();
    const archive = dockerArchive(await syntheticImage([{ x: random('x', 2 << 20) }]), ['cut:1']);
    const client = request({ socketPath: engine.socketPath, method: 'POST', path: '/images/load' });
    client.on('error', () => undefined);
    client.write(archive.subarray(0, archive.length / 2));
    await until(async () => ingests().length > 0);
    client.destroy();
    await until(async () => ingests().length === 0);
    expect(blobs()).toEqual(before);
  });

  it('leaves a valid store when the daemon is killed, and a retry finishes', async () => {
    const large = await syntheticImage([{ y: random('y', 6 << 20) }, { z: random('z', 3 << 20) }]);
    const path = join(folder, 'killed.tar');
    writeFileSync(path, dockerArchive(large, ['killed:1']));
    // Killed while bytes come, and while layers are unpacked.
    for (const isThere of [
      () => ingests().length > 0,
      () => readdirSync(join(engine.dataRoot, 'overlay2')).some(isNew),
    ]) {
      const known = new Set(readdirSync(join(engine.dataRoot, 'overlay2')));
      isNew = (name) => !known.has(name);
      const client = spawn('docker', ['load', '-i', path], { env: engine.cliEnvironment, stdio: 'ignore' });
      const ended = once(client, 'exit');
      await until(async () => isThere());
      await engine.end('SIGKILL');
      await ended;
      await engine.boot();
      expect((await engine.docker(['image', 'inspect', 'killed:1'])).code).toBe(1);
      expect((await engine.docker(['image', 'inspect', 'fetched:1'])).code).toBe(0);
    }
    expect(await engine.dockerOk('load', '-i', path)).toBe('Loaded image: killed:1');
    expect((await engine.dockerOk('images', '-q', '--no-trunc', 'killed:1')).trim()).toBe(large.id);
    expect(ingests()).toEqual([]);
    expect(blobs()).toEqual(expect.arrayContaining(large.layers.map(({ diffId }) => diffId.slice(7))));
    expect(readFileSync(join(engine.root, 'log'), 'utf8')).not.toContain('TypeError');
  });
});

let isNew: (name: string) => boolean = () => false;

/** POSTs a body and gives the answer's. */
async function post(socketPath: string, path: string, body: Buffer): Promise<string> {
  const outgoing = request({ socketPath, method: 'POST', path, headers: { 'content-type': 'application/x-tar' } });
  outgoing.end(body);
  const [response] = (await once(outgoing, 'response')) as [AsyncIterable<Buffer>];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
