import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, describe, expect, it } from 'vitest';
import { obstacleToContainers } from '../support/bundle.ts';
import { run, TestEngine, until } from '../support/engine.ts';
import { MOORED } from '../support/program.ts';
import { tarOf } from '../support/synthetic-image.ts';

const obstacle = obstacleToContainers();
const MB = 1024 * 1024;

/** What `GET` and `POST /system/gc` say. */
interface Collected {
  readonly Images: readonly { readonly Name: string; readonly Reason: string }[];
}

/*
 * Images go by themselves from a real daemon: by age, by the clock, and for want of space on a small disk.
 */
describe.skipIf(obstacle !== null)(`image collection${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  let engine: TestEngine;
  let directory = '';
  afterEach(async () => {
    await engine[Symbol.asyncDispose]();
    if (directory !== '') rmSync(directory, { recursive: true, force: true });
  });

  const names = async (): Promise<readonly string[]> =>
    (await engine.dockerOk('images', '--format', '{{.Repository}}:{{.Tag}}'))
      .split('\n')
      .filter((name) => name !== '')
      .toSorted();

  /** An image of its own, with so many bytes that no compression makes fewer. */
  const importImage = async (name: string, bytes = 1000, ...changes: readonly string[]): Promise<void> => {
    const tar = await tarOf({ name, data: randomBytes(bytes) });
    const query = new URLSearchParams([
      ['fromSrc', '-'],
      ['repo', name],
      ...changes.map((change) => ['changes', change] as [string, string]),
    ]);
    const { status, body } = await engine.api('POST', `/images/create?${query.toString()}`, tar, {
      'content-type': 'application/x-tar',
    });
    if (status !== 200 || body.includes('"error"')) throw new Error(body);
  };

  /** Makes images look unused for as many hours, behind the back of an engine that does not run. */
  const age = async (
    hours: Readonly<Record<string, number>>,
    end: () => Promise<void> = async () => engine.end(),
  ): Promise<void> => {
    await end();
    const db = new DatabaseSync(join(engine.dataRoot, 'state.db'));
    for (const [name, count] of Object.entries(hours)) {
      const [repository, tag] = name.split(':');
      const then = BigInt(Date.now() - count * 3_600_000) * 1_000_000n;
      const changed = db
        .prepare(
          `UPDATE image SET used_at = ?, created_at = ? WHERE id =
             (SELECT image_id FROM image_tag WHERE repository = ? AND tag = ?)`,
        )
        .run(then, then, `docker.io/library/${repository ?? ''}`, tag ?? '');
      expect(changed.changes).toBe(1);
    }
    db.close();
  };

  const storeIsSound = async (): Promise<void> => {
    const checked = await run(
      MOORED,
      ['check', '--deep', '--data-root', engine.dataRoot, '-H', `unix://${engine.socketPath}`],
      {},
    );
    expect(checked.stdout).toContain('nothing is wrong');
  };

  it('takes by the clock what nobody has used for long, tells why, and nothing that is used or kept', async () => {
    engine = await TestEngine.start(
      '--image-gc',
      '--image-gc-age=2h',
      '--image-gc-keep-tags=0',
      '--image-gc-schedule=* * * * * *',
    );
    const all = ['old:1', 'kept:1', 'label:1', 'run:1', 'stopped:1', 'new:1'];
    for (const name of all) {
      if (name === 'run:1' || name === 'stopped:1') await engine.importBusybox(name);
      else
        await importImage(
          name,
          1000,
          ...(name === 'label:1' ? ['LABEL org.moored.keep=yes'] : name === 'kept:1' ? ['LABEL moored.keep=1'] : []),
        );
    }
    await engine.dockerOk('create', '--name', 'c', '--network', 'none', 'stopped:1', 'true').catch(() => undefined);
    await engine
      .dockerOk('create', '--name', 'stopped', '--network', 'none', 'stopped:1', 'true')
      .catch(() => undefined);
    await engine.dockerOk(
      'run',
      '-d',
      '--stop-timeout',
      '0',
      '--name',
      'runs',
      '--network',
      'none',
      'run:1',
      'sleep',
      '1000',
    );
    const hours = Object.fromEntries(all.filter((name) => name !== 'new:1').map((name) => [name, 3]));
    await age(hours);
    const since = Math.floor(Date.now() / 1000) - 1;
    await engine.boot();
    await until(async () => !(await names()).includes('old:1'));
    expect(await names()).toEqual(all.filter((name) => name !== 'old:1').toSorted());
    await until(() => /msg="image old:1 collected: not used since .*reason=unused/.test(engine.log()));
    const events = await engine.dockerOk(
      'events',
      '--since',
      String(since),
      '--until',
      String(Math.ceil(Date.now() / 1000)),
      '--filter',
      'type=image',
      '--format',
      '{{.Action}}',
    );
    expect(events.split('\n')).toEqual(expect.arrayContaining(['untag', 'delete']));
    await engine.dockerOk('rm', '-f', 'runs');
    await storeIsSound();
  });

  it('is off unless it is turned on, and a reload is enough', async () => {
    directory = mkdtempSync(join(tmpdir(), 'mt-gc-'));
    const file = join(directory, 'daemon.json');
    writeFileSync(file, '{}');
    engine = await TestEngine.start('--config-file', file);
    await importImage('old:1');
    await importImage('new:1');
    await age({ 'old:1': 1000 });
    await engine.boot();
    const preview = (await engine.api('GET', '/system/gc')).json as Collected;
    expect(preview.Images).toEqual([]);
    // What would go with other rules is shown whether it is on or not; by itself nothing happens.
    writeFileSync(file, JSON.stringify({ 'image-gc-age': '24h', 'image-gc-keep-tags': 0 }));
    process.kill(engine.pid, 'SIGHUP');
    const shown = await until(async () => {
      const { Images } = (await engine.api('GET', '/system/gc')).json as Collected;
      return Images.length > 0 && Images;
    });
    expect(shown).toMatchObject([{ Name: 'old:1', Reason: 'unused' }]);
    expect(await names()).toEqual(['new:1', 'old:1']);
    writeFileSync(
      file,
      JSON.stringify({
        'image-gc-age': '24h',
        'image-gc-keep-tags': 0,
        'image-gc': true,
        'image-gc-dry-run': true,
        'image-gc-schedule': '* * * * * *',
      }),
    );
    process.kill(engine.pid, 'SIGHUP');
    await until(() => engine.log().includes('would remove image old:1'));
    expect(await names()).toEqual(['new:1', 'old:1']);
    writeFileSync(
      file,
      JSON.stringify({
        'image-gc-age': '24h',
        'image-gc-keep-tags': 0,
        'image-gc': true,
        'image-gc-schedule': '* * * * * *',
      }),
    );
    process.kill(engine.pid, 'SIGHUP');
    await until(async () => (await names()).length === 1);
    expect(await names()).toEqual(['new:1']);
  });

  it('makes room on a full disk, the least recently used first, before and after what fills it', async () => {
    engine = await TestEngine.start(
      // A bridge would be forgotten with the disk.
      '--bridge=none',
      '--image-gc',
      '--image-gc-age=never',
      '--image-gc-schedule=never',
      '--image-gc-high-water=70',
      '--image-gc-low-water=45',
    );
    await engine.end();
    await using _disk = await smallDisk(engine, 160);
    await engine.boot();
    // 20 MB as a blob and 20 MB unpacked each.
    for (const name of ['a:1', 'b:1']) await importImage(name, 10 * MB);
    await age({ 'a:1': 5, 'b:1': 9 });
    await engine.boot();
    expect(await names()).toEqual(['a:1', 'b:1']);
    await importImage('c:1', 38 * MB);
    await until(async () => !(await names()).includes('b:1'));
    await until(() => /image b:1 collected: the disk is too full.*reason=space/.test(engine.log()));
    await until(async () => (await names()).length <= 2);
    // What came last is not taken, however full the disk is.
    expect(await names()).toContain('c:1');
    expect(await names()).not.toContain('b:1');
    await storeIsSound();
    await engine.end();
  });

  it('killed at any moment it leaves a whole store, and the next one finishes', async () => {
    engine = await TestEngine.start('--image-gc-age=1h', '--image-gc-keep-tags=0');
    await importImage('stay:1');
    const blobs = (): number => readdirSync(join(engine.dataRoot, 'content', 'blobs', 'sha256')).length;
    for (const removed of [0, 2, 6]) {
      const going = Array.from({ length: 6 }, (_, index) => `go${String(index)}:1`);
      await Promise.all(going.map(async (name) => importImage(name, 200_000)));
      await age(Object.fromEntries(going.map((name) => [name, 5])));
      await engine.boot();
      const before = blobs();
      const collecting = engine.api('POST', '/system/gc').catch(() => null);
      await until(() => blobs() <= before - removed);
      await engine.end('SIGKILL');
      await collecting;
      await engine.boot();
      await storeIsSound();
      await engine.api('POST', '/system/gc');
      expect(await names()).toEqual(['stay:1']);
    }
    const { json } = await engine.api('POST', '/system/gc');
    expect(json).toEqual({ Images: [], SpaceReclaimed: 0 });
    expect(blobs()).toBe(2);
  });
});

/** A tmpfs below the data root of an engine that does not run; gone when disposed of. */
async function smallDisk(engine: TestEngine, megabytes: number): Promise<AsyncDisposable> {
  rmSync(engine.dataRoot, { recursive: true });
  const script = `mkdir -p "$0" && mount -t tmpfs -o size=${String(megabytes)}m small "$0"`;
  const mounted = await run('sh', ['-c', script, engine.dataRoot], {});
  if (mounted.code !== 0) throw new Error(mounted.stderr);
  return {
    async [Symbol.asyncDispose]() {
      await engine.end();
      await run('umount', ['-R', engine.dataRoot], {});
    },
  };
}
