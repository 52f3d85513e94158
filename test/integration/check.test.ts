import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { StoreFinding, StoreReport } from '../../src/engine/check/types.ts';
import { run, TestEngine, until, type CommandResult } from '../support/engine.ts';
import { MOORED } from '../support/program.ts';
import { pushImage, registryAbsence, startRegistry, type TestRegistry } from '../support/registry.ts';
import { syntheticImage, type SyntheticImage } from '../support/synthetic-image.ts';

/*
 * `moored check` on the store of a real daemon: what is broken by hand is found, told and mended, and containers run again.
 */
const BUSYBOX = readFileSync(await busyboxPath());

async function busyboxPath(): Promise<string> {
  return (await run('sh', ['-c', 'command -v busybox'], {})).stdout.trim();
}

interface Outcome extends CommandResult {
  readonly findings: readonly StoreFinding[];
  readonly report: StoreReport;
}

/** Runs `moored check` with the engine's own places. */
async function check(engine: TestEngine, ...words: readonly string[]): Promise<Outcome> {
  const places = [
    '--data-root',
    engine.dataRoot,
    '--exec-root',
    join(engine.root, 'exec'),
    '-H',
    `unix://${engine.socketPath}`,
  ];
  const result = await run(MOORED, ['check', '--json', ...words, ...places], {});
  if (result.stdout === '')
    throw new Error(`no report (${String(result.code)}): ${result.stderr}\n${engine.log().slice(-2000)}`);
  const report = JSON.parse(result.stdout) as StoreReport;
  return { ...result, report, findings: report.findings };
}

const told = ({ findings }: Outcome): readonly string[] => findings.map(({ kind, outcome }) => `${kind} ${outcome}`);

describe.skipIf(registryAbsence !== null)(`the check${registryAbsence === null ? '' : ` (${registryAbsence})`}`, () => {
  let registry: TestRegistry;
  let engine: TestEngine;
  let image: SyntheticImage;
  let name: string;

  beforeAll(async () => {
    registry = await startRegistry();
    image = await syntheticImage([{ 'bin/busybox': BUSYBOX }, { word: 'good\n' }, { more: 'x'.repeat(5000) }], {
      config: { Cmd: ['/bin/busybox', 'cat', '/word'] },
    });
    await pushImage(registry.host, 'lib/word', '1', image);
    name = `${registry.host}/lib/word:1`;
    engine = await TestEngine.start('--insecure-registry', registry.host);
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await engine.dockerOk('pull', '-q', name);
  });
  afterEach(async () => {
    // One that a failed test left ended.
    if ((await engine.api('GET', '/_ping').catch(() => null)) === null) await engine.boot();
    const ids = (await engine.dockerOk('ps', '-aq')).split('\n').filter((id) => id !== '');
    if (ids.length > 0) await engine.dockerOk('rm', '-f', ...ids);
    await engine.dockerOk('rmi', '-f', image.id);
    // What a test left is the next one's fault.
    const clean = await check(engine, '--repair');
    expect([told(clean), clean.report.problems]).toEqual([[], 0]);
  });

  const blobPath = (digest: string): string => join(engine.dataRoot, 'content', 'blobs', 'sha256', digest.slice(7));
  const layerPath = (index: number): string => join(engine.dataRoot, 'overlay2', chainIdOf(index).replace(':', '+'));
  const chainIdOf = (index: number): string => {
    const inspected = readdirSync(join(engine.dataRoot, 'overlay2')).filter((entry) => entry.startsWith('sha256+'));
    const depth = (entry: string): number =>
      (
        JSON.parse(readFileSync(join(engine.dataRoot, 'overlay2', entry, 'snapshot.json'), 'utf8')) as {
          lower: string[];
        }
      ).lower.length;
    const found = inspected.find((entry) => depth(entry) === index);
    if (found === undefined) throw new Error(`no layer ${String(index)}`);
    return found.replace('+', ':');
  };
  const treeOf = (index: number): string => join(layerPath(index), readlinkSync(join(layerPath(index), 'diff')));
  const runs = async (): Promise<void> =>
    expect(await engine.dockerOk('run', '--rm', '--network', 'none', name)).toBe('good');

  it('finds nothing in a sound store, with the daemon and without', async () => {
    await engine.dockerOk('create', '--name', 'sound', name);
    await engine.dockerOk('volume', 'create', 'vol');
    const online = await check(engine, '--deep');
    expect([online.code, online.findings]).toEqual([0, []]);
    const { blobs, layers, images, containers, volumes } = online.report.checked;
    expect({ blobs, layers, images, containers, volumes }).toEqual({
      blobs: 5,
      layers: 3,
      images: 1,
      containers: 1,
      volumes: 1,
    });
    await engine.end();
    const offline = await check(engine, '--deep');
    expect(offline.report).toEqual(online.report);
    await engine.boot();
    await engine.dockerOk('volume', 'rm', 'vol');
  });

  describe.each<[string, (path: string) => void]>([
    ['with a flipped bit', flipByte],
    ['cut short', (path) => truncateSync(path, 100)],
    ['deleted', (path) => rmSync(path)],
  ])('a blob %s', (how, damage) => {
    it('is found, and brought again by a pull', async () => {
      const digest = image.layers[1]!.digest;
      damage(blobPath(digest));
      const found = await check(engine);
      expect(found.code).toBe(1);
      expect(told(found)).toEqual(how === 'deleted' ? ['image found'] : ['blob found', 'image found']);
      expect(found.findings.at(-1)).toMatchObject({ subject: name, remedy: 'pull it again' });
      const repaired = await check(engine, '--repair');
      expect(repaired.code).toBe(1);
      expect(told(repaired)).toEqual(how === 'deleted' ? ['image remains'] : ['blob repaired', 'image remains']);
      expect(existsSync(blobPath(digest))).toBe(false);
      await runs();
      const pulled = await engine.dockerOk('pull', name);
      expect(pulled).toContain(`${digest.slice(7, 19)}: Download complete`);
      expect(statSync(blobPath(digest)).size).toBe(image.layers[1]!.blob.length);
      const clean = await check(engine, '--deep');
      expect([clean.code, clean.findings]).toEqual([0, []]);
    });
  });

  it('a damaged manifest is found and brought again', async () => {
    flipByte(blobPath(image.digest));
    expect(told(await check(engine, '--repair'))).toEqual(['blob repaired', 'image remains']);
    await engine.dockerOk('pull', name);
    expect((await check(engine)).findings).toEqual([]);
  });

  it('a damaged config is written again where its bytes are known', async () => {
    flipByte(blobPath(image.id));
    const repaired = await check(engine, '--repair');
    expect([repaired.code, told(repaired)]).toEqual([0, ['blob repaired', 'image repaired']]);
    expect((await check(engine)).findings).toEqual([]);
  });

  describe.each<[string, () => void]>([
    ['whose directory is gone', () => rmSync(layerPath(1), { recursive: true })],
    ['whose files are gone', () => rmSync(treeOf(1), { recursive: true })],
    [
      'of which nothing is left',
      () => {
        rmSync(treeOf(1), { recursive: true });
        rmSync(layerPath(1), { recursive: true });
      },
    ],
    ['whose description is damaged', () => writeFileSync(join(layerPath(1), 'snapshot.json'), '{')],
  ])('a layer %s', (_how, damage) => {
    it('is unpacked again under its children and containers, with the daemon', async () => {
      await engine.dockerOk('create', '--name', 'old', '--network', 'none', name);
      damage();
      const found = await check(engine);
      expect([found.code, told(found).includes('layer found')]).toEqual([1, true]);
      const repaired = await check(engine, '--repair');
      expect([repaired.code, told(repaired)]).toEqual([0, expect.arrayContaining(['layer repaired'])]);
      await runs();
      expect(await engine.dockerOk('start', '-a', 'old')).toBe('good');
      expect((await check(engine, '--deep')).findings).toEqual([]);
    });

    it('is unpacked again without the daemon', async () => {
      await engine.dockerOk('create', '--name', 'old', '--network', 'none', name);
      await engine.end();
      damage();
      const repaired = await check(engine, '--repair');
      expect([repaired.code, told(repaired)]).toEqual([0, expect.arrayContaining(['layer repaired'])]);
      await engine.boot();
      await runs();
      expect(await engine.dockerOk('start', '-a', 'old')).toBe('good');
    });
  });

  it('a changed file in a layer is found by --deep alone, and mended', async () => {
    const path = join(treeOf(1), 'word');
    const { atime, mtime } = statSync(path);
    writeFileSync(path, 'evil\n');
    utimesSync(path, atime, mtime);
    expect((await check(engine)).findings).toEqual([]);
    const found = await check(engine, '--deep');
    expect(found.findings).toMatchObject([{ kind: 'layer', problem: expect.stringContaining('/word has') as string }]);
    expect((await check(engine, '--deep', '--repair')).code).toBe(0);
    await runs();
  });

  it('a layer without tree and without blob is brought again by a pull, in its place', async () => {
    await engine.dockerOk('create', '--name', 'old', '--network', 'none', name);
    rmSync(blobPath(image.layers[1]!.digest));
    rmSync(treeOf(1), { recursive: true });
    const repaired = await check(engine, '--repair');
    expect([repaired.code, told(repaired)]).toEqual([1, ['layer remains', 'image remains']]);
    await engine.dockerOk('pull', name);
    await runs();
    expect(await engine.dockerOk('start', '-a', 'old')).toBe('good');
    expect((await check(engine, '--deep')).findings).toEqual([]);
  });

  it('is not repaired under a running container', async () => {
    await engine.dockerOk('run', '-d', '--name', 'runs', '--network', 'none', name, '/bin/busybox', 'sleep', '1000');
    rmSync(join(treeOf(1), 'word'));
    const repaired = await check(engine, '--deep', '--repair');
    expect(repaired.findings).toMatchObject([
      { kind: 'layer', outcome: 'remains', remedy: 'stop runs and repair again' },
    ]);
    await engine.dockerOk('rm', '-f', 'runs');
    expect(told(await check(engine, '--deep', '--repair'))).toEqual(['layer repaired']);
  });

  it('leftovers are found with their sizes and removed, and nothing else is', async () => {
    await engine.end();
    const content = join(engine.dataRoot, 'content');
    writeFileSync(join(content, 'blobs', 'sha256', 'a'.repeat(64)), 'orphan');
    writeFileSync(join(content, 'ingest', 'draft-0123'), 'half a draft');
    writeFileSync(join(content, 'ingest', 'layer-old'), 'half a layer');
    utimesSync(join(content, 'ingest', 'layer-old'), 0, 0);
    writeFileSync(join(content, 'ingest', 'layer-young'), 'half a layer');
    mkdirSync(join(engine.dataRoot, 'overlay2', 'l', 'ABCDEFGH'));
    mkdirSync(join(engine.dataRoot, 'overlay2', `sha256+${'b'.repeat(64)}`));
    mkdirSync(join(engine.dataRoot, 'containers', 'c'.repeat(64)), { recursive: true });
    mkdirSync(join(engine.dataRoot, 'volumes', 'precious', '_data'), { recursive: true });
    const found = await check(engine);
    const leftovers = found.findings
      .filter(({ kind }) => kind === 'leftover')
      .map(({ subject }) => subject.split('/').at(-1));
    expect(leftovers.toSorted()).toEqual(
      [
        `sha256:${'a'.repeat(64)}`,
        'draft-0123',
        'layer-old',
        'ABCDEFGH',
        `sha256+${'b'.repeat(64)}`,
        'c'.repeat(64),
        'precious',
      ].toSorted(),
    );
    const repaired = await check(engine, '--repair');
    expect(repaired.code).toBe(1);
    expect(repaired.findings.filter(({ outcome }) => outcome === 'remains').map(({ subject }) => subject)).toEqual([
      join(engine.dataRoot, 'volumes', 'precious'),
    ]);
    rmSync(join(engine.dataRoot, 'volumes', 'precious'), { recursive: true });
    rmSync(join(content, 'ingest', 'layer-young'));
    await engine.boot();
    await runs();
  });

  it('names that lead nowhere are dropped', async () => {
    await engine.end();
    const db = new DatabaseSync(join(engine.dataRoot, 'state.db'));
    db.exec(
      "PRAGMA foreign_keys=OFF; INSERT INTO image_tag VALUES ('docker.io/library/ghost', 'latest', 'sha256:00', 1)",
    );
    db.close();
    const repaired = await check(engine, '--repair');
    expect(repaired.findings).toMatchObject([
      { kind: 'tag', subject: 'docker.io/library/ghost:latest', outcome: 'repaired' },
    ]);
    expect((await check(engine)).code).toBe(0);
    await engine.boot();
  });

  it('a layer whose row is lost or wrong gets it back, with all that stands on it', async () => {
    await engine.dockerOk('create', '--name', 'old', '--network', 'none', name);
    const chainId = chainIdOf(1);
    await engine.end();
    const broken = async (statement: string): Promise<readonly string[]> => {
      const db = new DatabaseSync(join(engine.dataRoot, 'state.db'));
      db.exec(`PRAGMA foreign_keys=OFF; ${statement}`);
      db.close();
      const repaired = await check(engine, '--repair');
      expect(repaired.code).toBe(0);
      return told(repaired);
    };
    const row = `WHERE chain_id = '${chainId}'`;
    expect(await broken(`DELETE FROM layer ${row}`)).toEqual(['image repaired']);
    expect(await broken(`UPDATE layer SET parent = NULL ${row}`)).toEqual(['state repaired']);
    expect(await broken(`UPDATE layer SET diff_id = 'sha256:${'0'.repeat(64)}' ${row}`)).toEqual(['state repaired']);
    await engine.boot();
    await runs();
    expect(await engine.dockerOk('start', '-a', 'old')).toBe('good');
  });

  it('a container or volume without files is told', async () => {
    await engine.dockerOk('create', '--name', 'hollow', '-v', 'gone:/v', name);
    const id = await engine.dockerOk('inspect', '-f', '{{.Id}}', 'hollow');
    rmSync(join(engine.dataRoot, 'overlay2', id), { recursive: true });
    rmSync(join(engine.dataRoot, 'volumes', 'gone'), { recursive: true });
    const repaired = await check(engine, '--repair');
    expect(repaired.findings).toMatchObject([
      { kind: 'container', subject: 'hollow', outcome: 'remains' },
      { kind: 'volume', subject: 'gone', outcome: 'repaired' },
      { kind: 'leftover', outcome: 'repaired' },
    ]);
    await engine.dockerOk('rm', 'hollow');
    await engine.dockerOk('volume', 'rm', 'gone');
  });

  it.each(['removing', 'dead'])('a container that is %s is for the next start, and no finding', async (status) => {
    const id = await engine.dockerOk('create', '--name', 'going', name);
    await engine.end();
    const db = new DatabaseSync(join(engine.dataRoot, 'state.db'));
    db.exec(`UPDATE container SET state = json_set(state, '$.state.status', '${status}')`);
    db.close();
    rmSync(join(engine.dataRoot, 'overlay2', id), { recursive: true });
    const found = await check(engine);
    expect(found.findings.filter(({ kind }) => kind !== 'leftover')).toEqual([]);
    await engine.boot();
    expect(await engine.dockerOk('ps', '-aq')).toBe('');
    expect((await check(engine, '--repair')).report.problems).toBe(0);
  });

  it('says when it cannot check: no daemon answers, bad options, a file that is none', async () => {
    const bad = await run(MOORED, ['check', '--nonsense'], {});
    expect([bad.code, bad.stderr]).toEqual([2, expect.stringContaining('unknown flag')]);
    const silent = await run(
      MOORED,
      ['check', '--data-root', engine.dataRoot, '-H', `unix://${engine.root}/nobody`],
      {},
    );
    expect([silent.code, silent.stderr]).toEqual([2, expect.stringContaining('no daemon answers at') as string]);
    const nowhere = await run(MOORED, ['check', '--data-root', join(engine.root, 'nowhere')], {});
    expect([nowhere.code, nowhere.stderr]).toEqual([2, expect.stringContaining('there is no store at') as string]);
    expect(existsSync(join(engine.root, 'nowhere'))).toBe(false);
    const help = await run(MOORED, ['check', '--help'], {});
    expect([help.code, help.stdout]).toEqual([0, expect.stringContaining('Usage:  moored check')]);
  });

  it('tells of itself in plain words', async () => {
    truncateSync(blobPath(image.layers[2]!.digest), 10);
    const places = ['--data-root', engine.dataRoot, '-H', `unix://${engine.socketPath}`];
    const { stdout } = await run(MOORED, ['check', '--repair', ...places], {});
    const lines = stdout.trimEnd().split('\n');
    expect(lines[0]).toMatch(
      /^repaired {2}blob sha256:[0-9a-f]{64} \(10 B\): its content is sha256:[0-9a-f]{64}, 10 bytes; dropped$/,
    );
    expect(lines[1]).toMatch(
      /^damaged {3}image .*: the blob of a layer is missing: sha256:[0-9a-f]{64}; marked; pull it again$/,
    );
    expect(lines[2]).toMatch(/^Checked 5 blobs .*: 1 problem left, 1 repaired\.$/);
    await engine.dockerOk('pull', '-q', name);
  });

  it('killed at any moment of a repair, the next one finishes', async () => {
    await engine.dockerOk('create', '--name', 'old', '--network', 'none', name);
    await engine.end();
    const places = ['--data-root', engine.dataRoot, '--exec-root', join(engine.root, 'exec')];
    for (const seconds of ['0.30', '0.40', '0.50', '0.60']) {
      rmSync(treeOf(1), { recursive: true, force: true });
      writeFileSync(join(engine.dataRoot, 'content', 'blobs', 'sha256', 'a'.repeat(64)), 'orphan');
      await run('timeout', ['-s', 'KILL', seconds, MOORED, 'check', '--repair', ...places], {});
      const next = await check(engine, '--repair');
      expect([seconds, next.code]).toEqual([seconds, 0]);
      expect((await check(engine, '--deep')).findings).toEqual([]);
    }
    await engine.boot();
    await until(async () => (await engine.docker(['start', '-a', 'old'])).stdout === 'good\n');
    await runs();
  });
});

function flipByte(path: string): void {
  const bytes = readFileSync(path);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  writeFileSync(path, bytes);
}
