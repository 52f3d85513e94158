import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../../../src/base/errors.ts';
import { BuildFailure } from '../../../../src/engine/build/failure.ts';
import { EVERY_IMAGE } from '../../../../src/engine/images/types.ts';
import { makeBuildRoom, type TestBuilds } from '../../../support/build-room.ts';
import { syntheticImage } from '../../../support/synthetic-image.ts';

let test: TestBuilds;
beforeEach(async () => {
  test = await makeBuildRoom();
  test.room.registry.add('library/base', '1', await syntheticImage([{ a: '1' }, { b: '2' }]));
  await test.room.pull('base:1');
  test.room.events.length = 0;
});
afterEach(async () => {
  await test[Symbol.asyncDispose]();
});

/** Ids are what they are. */
const plain = (said: string): string => said.replace(/\b[0-9a-f]{12}\b/g, '<id>');
const cacheHits = (said: string): number => said.split('---> Using cache').length - 1;
const state = async () => ({
  images: (await test.room.images.list({ ...EVERY_IMAGE, all: true })).map(({ id }) => id),
  layers: test.room.layerTable.all().map(({ chainId }) => chainId),
  files: await test.room.files(),
});

describe('a build', () => {
  it('speaks in the words of dockerd, and leaves an image with its parents', async () => {
    const { said, id, error } = await test.build('FROM base:1\nENV A=b\nRUN make\nCMD ["x"]\n', {
      tags: ['app', 'app:latest', 'b:2'],
    });
    expect(error).toBeNull();
    expect(plain(said)).toBe(
      'Step 1/4 : FROM base:1\n ---> <id>\nStep 2/4 : ENV A=b\n ---> <id>\n' +
        'Step 3/4 : RUN make\n ---> Running in <id>\nmake\n ---> Removed intermediate container <id>\n ---> <id>\n' +
        'Step 4/4 : CMD ["x"]\n ---> <id>\nSuccessfully built <id>\nSuccessfully tagged app:latest\nSuccessfully tagged b:2\n',
    );
    const image = test.room.images.get('app');
    expect(image.id).toBe(id);
    expect(image.tags).toEqual(['app:latest', 'b:2']);
    expect(image.config.config).toMatchObject({ Cmd: ['x'], Image: image.parent });
    expect(image.config.config?.Env?.filter((entry) => !entry.startsWith('PATH='))).toContain('A=b');
    expect(test.room.images.history('app').map(({ entry }) => entry.created_by)).toEqual([
      '/bin/sh -c #(nop)  CMD ["x"]',
      '/bin/sh -c make',
      '/bin/sh -c #(nop)  ENV A=b',
      ...test.room.images.history('base:1').map(({ entry }) => entry.created_by),
    ]);
    expect(test.room.events.map(({ action }) => action)).toEqual(['create', 'tag', 'tag']);
    expect(test.containers.size).toBe(0);
  });

  it('is the same image out of the cache, also when all of it was removed', async () => {
    const file = 'FROM base:1\nRUN make\nCOPY file /\nENV A=b\n';
    test.files.set('file', 'one');
    const first = await test.build(file, { tags: ['app'] });
    await test.room.clock.advance(60_000);
    const second = await test.build(file, { tags: ['again'] });
    expect(second.id).toBe(first.id);
    expect(cacheHits(second.said)).toBe(3);
    await test.room.images.remove('app', { force: true, prune: true });
    await test.room.images.remove('again', { force: true, prune: true });
    const third = await test.build(file, { tags: ['app'] });
    expect(third.id).toBe(first.id);
    expect(test.ran).toHaveLength(1);
  });

  it('knows inputs by what they hold', async () => {
    const file = 'FROM base:1\nCOPY file /\nRUN make\n';
    test.files.set('file', 'one');
    await test.build(file);
    test.files.set('file', 'two');
    expect(cacheHits((await test.build(file)).said)).toBe(0);
    test.files.set('file', 'one');
    expect(cacheHits((await test.build(file)).said)).toBe(2);
    expect(cacheHits((await test.build('FROM base:1\nENV X=1\nCOPY file /\nRUN make\n')).said)).toBe(0);
  });

  it('asks no cache that it is told to leave alone, and fills it', async () => {
    const file = 'FROM base:1\nRUN make\n';
    await test.build(file);
    expect(cacheHits((await test.build(file, { noCache: true })).said)).toBe(0);
    expect(test.ran).toHaveLength(2);
    expect(cacheHits((await test.build(file)).said)).toBe(1);
  });

  it('counts the values of arguments that a RUN sees', async () => {
    const file = 'FROM base:1\nARG A=1\nRUN make\n';
    await test.build(file);
    const other = await test.build(file, { args: new Map([['A', '2']]) });
    expect(test.ran.map(({ extraEnv }) => extraEnv)).toEqual([['A=1'], ['A=2']]);
    expect(other.said).toContain('Step 2/3 : ARG A=1');
    const unused = await test.build(file, { args: new Map([['B', '2']]) });
    expect(unused.said).toContain('[Warning] One or more build-args [B] were not consumed\n');
  });

  it('gives labels in the order of their names', async () => {
    const { said, id } = await test.build('FROM base:1\n', { labels: new Map([['b', '2'], ['a', '1']]) }); // prettier-ignore
    expect(said).toMatch(/Step 2\/3 : LABEL a=1\n[^]*Step 3\/3 : LABEL b=2\n/);
    expect(test.room.images.get(id ?? '').config.config?.Labels).toEqual({ a: '1', b: '2' });
  });

  it('names the base where nothing is added to it', async () => {
    const base = test.room.images.get('base:1').id;
    expect((await test.build('FROM base:1\n', { tags: ['other'] })).id).toBe(base);
    expect(test.room.images.get('other').id).toBe(base);
  });

  it('pulls a base that is not there', async () => {
    test.room.registry.add('library/far', 'latest', await syntheticImage([{ c: '3' }]));
    const { error } = await test.build('FROM far\nENV A=b\n', { tags: ['app'] });
    expect(error).toBeNull();
    expect(test.room.images.get('far:latest').id).toBe(test.room.images.history('app').at(-1)?.id);
  });

  it('is reproducible with SOURCE_DATE_EPOCH', async () => {
    const args = new Map([['SOURCE_DATE_EPOCH', '1700000000']]);
    const first = await test.build('FROM base:1\nRUN make\n', { args, noCache: true });
    await test.room.clock.advance(5_000);
    const second = await test.build('FROM base:1\nRUN make\n', { args, noCache: true });
    expect(second.id).toBe(first.id);
    expect(test.room.images.get(first.id ?? '').config.created).toBe('2023-11-14T22:13:20Z');
    const bad = await test.build('FROM base:1\n', { args: new Map([['SOURCE_DATE_EPOCH', 'soon']]) });
    expect(bad.error).toEqual(new InvalidArgumentError('invalid SOURCE_DATE_EPOCH: soon'));
  });

  it('does the triggers of its base', async () => {
    await test.build('FROM base:1\nONBUILD RUN trigger\nONBUILD ENV T=1\n', { tags: ['onbuild'] });
    const { said, id } = await test.build('FROM onbuild\nRUN own\n');
    expect(plain(said)).toContain(
      'Step 1/2 : FROM onbuild\n# Executing 2 build triggers\n ---> Running in <id>\ntrigger\n',
    );
    const { config } = test.room.images.get(id ?? '').config;
    expect(config?.OnBuild).toBeNull();
    expect(config?.Env).toContain('T=1');
  });

  it('knows the arguments of triggers, and of the stage that it stands on', async () => {
    await test.build('FROM base:1\nONBUILD ARG T\n', { tags: ['onbuild'] });
    const args = new Map([['T', '1']]);
    const { said } = await test.build('FROM onbuild AS below\nARG A=2\nFROM below\nRUN own\n', { args });
    expect(said).not.toContain('not consumed');
    expect(test.ran.map(({ extraEnv }) => extraEnv)).toEqual([['A=2', 'T=1']]);
  });

  it('squashes what stands on its FROM into one layer, and tells of it in the history', async () => {
    const file = 'FROM base:1 AS one\nRUN first\nFROM one\nRUN make\nENV A=b\nRUN more\n';
    const one = await test.build(file, { target: 'one' });
    const plain = await test.build(file);
    const { id, error } = await test.build(file, { squash: true, tags: ['app'] });
    expect(error).toBeNull();
    const { document } = test.room.images.store.catalog.get(id as never) ?? {};
    expect(document?.layers).toHaveLength(4);
    expect(document?.parent).toBeUndefined();
    expect(document?.config.history?.slice(-4)).toEqual([
      expect.objectContaining({ created_by: '/bin/sh -c make', empty_layer: true }),
      expect.objectContaining({ empty_layer: true }),
      expect.objectContaining({ created_by: '/bin/sh -c more', empty_layer: true }),
      { created: document?.config.created, comment: `merge ${String(plain.id)} to ${String(one.id)}` },
    ]);
    // What is one layer already, or none, is left as it is.
    const short = await test.build('FROM base:1\nRUN make\n', { squash: true });
    expect(test.room.images.store.catalog.get(short.id as never)?.document.layers).toHaveLength(3);
    expect((await test.build('FROM base:1\n', { squash: true })).id).toBe(test.room.images.get('base:1').id);
    const scratch = await test.build('FROM scratch\nCOPY a /\nCOPY b /\n', { squash: true });
    const history = test.room.images.store.catalog.get(scratch.id as never)?.document.config.history;
    expect(history?.at(-1)?.comment).toMatch(/^create new from sha256:/);
  });

  it('takes steps from the history of an image that is named', async () => {
    const file = 'FROM base:1\nRUN make\nENV A=b\n';
    const first = await test.build(file, { tags: ['app'] });
    await test.builds.pruneCache({ ...PRUNE_ALL }, new AbortController().signal);
    expect(cacheHits((await test.build(file, { cacheFrom: ['app', 'missing'] })).said)).toBe(2);
    // Where images are named, only what they have is taken.
    expect(cacheHits((await test.build(file, { cacheFrom: ['app'] })).said)).toBe(2);
    await test.room.clock.advance(1000);
    expect(cacheHits((await test.build(file, { cacheFrom: ['missing'] })).said)).toBe(0);
    expect(cacheHits((await test.build(file, { cacheFrom: ['app'] })).said)).toBe(2);
    await test.builds.pruneCache({ ...PRUNE_ALL }, new AbortController().signal);
    await test.room.clock.advance(1000);
    expect((await test.build(file)).id).not.toBe(first.id);
  });
});

describe('stages', () => {
  const FILE =
    'FROM base:1 AS one\nRUN first\nFROM base:1 AS unused\nRUN never\nFROM base:1 AS two\nRUN second\n' +
    'FROM base:1\nCOPY --from=one /x /\nCOPY --from=two /x /\n';

  it('go at the same time, and speak in the order of the file', async () => {
    const { promise: secondRan, resolve } = Promise.withResolvers<void>();
    test.onRun = async ({ command }) => {
      if (command.at(-1) === 'first') await secondRan;
      else resolve();
    };
    const { said, error } = await test.build(FILE);
    expect(error).toBeNull();
    expect(test.ran.map(({ command }) => command.at(-1)).sort()).toEqual(['first', 'second']);
    expect(
      [...said.matchAll(/^Step (\d+\/\d+) : (.*)$/gm)].map(([, number, text]) => `${number ?? ''} ${text ?? ''}`),
    ).toEqual([
      '1/7 FROM base:1 AS one',
      '2/7 RUN first',
      '3/7 FROM base:1 AS two',
      '4/7 RUN second',
      '5/7 FROM base:1',
      '6/7 COPY --from=one /x /',
      '7/7 COPY --from=two /x /',
    ]);
    expect(said.indexOf('first\n')).toBeLessThan(said.indexOf('Step 3/7'));
  });

  it('leave no images but those of the last', async () => {
    const before = await test.room.images.list({ ...EVERY_IMAGE, all: true });
    await test.build(FILE, { tags: ['app'] });
    const after = await test.room.images.list({ ...EVERY_IMAGE, all: true });
    expect(after.length - before.length).toBe(2);
  });

  it('end with the first that fails, which is told with what came before it', async () => {
    const { promise: failed, resolve } = Promise.withResolvers<void>();
    test.onRun = async ({ command, signal }) => {
      if (command.at(-1) !== 'first') {
        resolve();
        return;
      }
      await failed;
      await new Promise<void>((done) => {
        signal.addEventListener('abort', () => done());
      });
    };
    const before = await state();
    const { said, error } = await test.build(FILE.replace('second', 'exit 7'));
    expect(error).toBeInstanceOf(BuildFailure);
    expect(error).toMatchObject({
      message: "The command '/bin/sh -c exit 7' returned a non-zero code: 7",
      exitCode: 7,
    });
    expect(said).toMatch(/Step 2\/7 : RUN first\n[^]*Step 4\/7 : RUN exit 7\n[^]*exit 7\n/);
    expect(test.containers.size).toBe(0);
    expect(await state()).toEqual(before);
  });

  it('stop at the target', async () => {
    await test.build(FILE, { target: 'two' });
    expect(test.ran.map(({ command }) => command.at(-1))).toEqual(['second']);
    const { error } = await test.build(FILE, { target: 'three' });
    expect(error).toBeInstanceOf(InvalidArgumentError);
  });
});

describe('what does not end well', () => {
  it('keeps what was good for the next time', async () => {
    await test.build('FROM base:1\nRUN good\nRUN exit 1\n');
    const { said } = await test.build('FROM base:1\nRUN good\nRUN better\n');
    expect(cacheHits(said)).toBe(1);
  });

  it('keeps the container of a failed RUN only where none is to be removed', async () => {
    await test.build('FROM base:1\nRUN exit 1\n', { remove: false });
    expect(test.containers.size).toBe(1);
    await test.build('FROM base:1\nRUN exit 1\n', { remove: false, forceRemove: true });
    expect(test.containers.size).toBe(1);
  });

  it('ends when it is cancelled, by its client or by its name', async () => {
    const before = await state();
    const client = new AbortController();
    test.onRun = async ({ signal }) => {
      client.abort(new Error('gone'));
      signal.throwIfAborted();
    };
    expect((await test.build('FROM base:1\nRUN make\n', {}, client.signal)).error).toEqual(new Error('gone'));
    test.onRun = async ({ signal }) => {
      expect(test.builds.cancel('mine')).toBe(true);
      signal.throwIfAborted();
    };
    const { error } = await test.build('FROM base:1\nRUN make\n', { buildId: 'mine' });
    expect(error).toMatchObject({ message: 'Build cancelled' });
    expect(test.builds.cancel('mine')).toBe(false);
    expect(test.builds.cancel('')).toBe(false);
    expect(await state()).toEqual(before);
  });

  it('makes a step once when two builds need it', async () => {
    const { promise: both, resolve } = Promise.withResolvers<void>();
    test.onRun = async () => both;
    const file = 'FROM base:1\nRUN make\n';
    const first = test.build(file);
    const second = test.build(file);
    setTimeout(resolve, 20);
    const [one, two] = await Promise.all([first, second]);
    expect(one.id).toBe(two.id);
    expect(test.ran).toHaveLength(1);
  });

  it.each([
    ['', /cannot be empty/],
    ['FRO base:1\n', /unknown instruction: FRO/],
    ['FROM scratch\n', /No image was generated/],
    ['FROM nosuch:1\n', /nosuch/],
    ['FROM base:1\nCOPY --from=5 a /\n', /index out of bounds/],
  ])('says what is wrong with %j', async (file, message) => {
    const before = await state();
    const { error } = await test.build(file);
    expect(String(error)).toMatch(message);
    expect(await state()).toEqual(before);
  });

  it('refuses names that no image can have, before anything is done', async () => {
    for (const tags of [['Up'], ['a@sha256:' + 'a'.repeat(64)]]) {
      expect((await test.build('FROM base:1\nRUN make\n', { tags })).error).toBeInstanceOf(InvalidArgumentError);
    }
    expect(test.ran).toEqual([]);
  });
});

const PRUNE_ALL = {
  all: true,
  keepBytes: null,
  maxUsedBytes: null,
  minFreeBytes: null,
  until: null,
  filters: new Map<string, readonly string[]>(),
};

describe('the cache', () => {
  it('drops what has lost its layer or blob', async () => {
    const file = 'FROM base:1\nRUN make\n';
    const { id } = await test.build(file);
    const layer = test.room.images.store.catalog.get(id as never)?.document.blobs.layers.at(-1);
    await test.room.content.remove(layer?.digest as never);
    expect(cacheHits((await test.build(file)).said)).toBe(0);
    expect(test.ran).toHaveLength(2);
  });

  it('outlives the layers of another storage driver, as long as the blobs are there', async () => {
    const file = 'FROM base:1\nRUN make\nRUN more\n';
    const { id } = await test.build(file);
    const layers = test.room.images.store.catalog.get(id as never)?.document.layers.slice(-2) ?? [];
    for (const { chainId } of layers.toReversed()) await test.room.layers.remove(chainId);
    expect(cacheHits((await test.build(file)).said)).toBe(2);
    for (const { chainId } of layers) expect(await test.room.layers.stat(chainId)).not.toBeNull();
  });

  it('puts a linked copy onto another parent without making it again', async () => {
    test.files.set('file', 'one');
    const file = (value: string, flags = '--link'): string => `FROM base:1\nRUN echo ${value}\nCOPY ${flags} file /\n`;
    const first = await test.build(file('a'));
    const second = await test.build(file('b'));
    expect([cacheHits(first.said), cacheHits(second.said)]).toEqual([0, 1]);
    const tops = [first, second].map(
      ({ id }) => test.room.images.store.catalog.get(id as never)?.document.config.rootfs.diff_ids.at(-1) ?? null,
    );
    expect(tops[1]).toBe(tops[0]);
    // By name, the owner is the parent's.
    await test.build(file('a', '--link --chown=me'));
    expect(cacheHits((await test.build(file('b', '--link --chown=me'))).said)).toBe(1);
    expect(await test.builds.cache()).toHaveLength(6);
    for (const { id } of [first, second]) await test.room.images.remove(id ?? '', { force: true, prune: true });
    await test.builds.pruneCache(PRUNE_ALL, new AbortController().signal);
    expect(test.room.database.all('SELECT * FROM build_step')).toEqual([]);
  });

  it('outlives the engine, and the images', async () => {
    const file = 'FROM base:1\nRUN make\n';
    await test.build(file, { tags: ['app'] });
    await test.room.images.remove('app', { force: true, prune: true });
    await test.room.images.recover();
    const next = await makeBuildRoom(test.room);
    await next.builds.recover();
    expect(cacheHits((await next.build(file)).said)).toBe(1);
  });

  it('gives everything back when it is pruned', async () => {
    const before = await state();
    const { id } = await test.build('FROM base:1\nRUN make\nENV A=b\nRUN more\n');
    await test.room.images.remove(id ?? '', { force: true, prune: true });
    const entries = await test.builds.cache();
    expect(entries.map(({ description, shared }) => [description, shared])).toEqual([
      ['RUN make', false],
      ['RUN more', false],
    ]);
    expect(entries[1]?.parents).toEqual([entries[0]?.id]);
    const { removed, reclaimedBytes } = await test.builds.pruneCache(PRUNE_ALL, new AbortController().signal);
    expect(removed).toEqual(entries.map((entry) => entry.id).toReversed());
    expect(reclaimedBytes).toBe(entries.reduce((sum, entry) => sum + entry.sizeBytes, 0));
    expect(await state()).toEqual(before);
    expect(test.room.database.all('SELECT * FROM build_step')).toEqual([]);
  });

  it('keeps nothing of a step that was made anew', async () => {
    const make = 'FROM base:1\nRUN make\n';
    const first = await test.build(make);
    await test.room.images.remove(first.id ?? '', { force: true, prune: true });
    const once = await state();
    test.stamp = ' later';
    const second = await test.build(make, { noCache: true });
    await test.room.images.remove(second.id ?? '', { force: true, prune: true });
    const twice = await state();
    expect([twice.layers.length, twice.files.blobs.length]).toEqual([once.layers.length, once.files.blobs.length]);
    expect(twice.layers).not.toEqual(once.layers);
  });

  it('gives back what only steps stood on whose own record was replaced', async () => {
    const before = await state();
    const first = await test.build('FROM base:1\nRUN make\nRUN more\n');
    test.stamp = ' later';
    // The layer of the first "make" has no record any more, but that of "more" stands on it.
    const second = await test.build('FROM base:1\nRUN make\n', { noCache: true });
    for (const { id } of [first, second]) {
      await test.room.images.remove(id ?? '', { force: true, prune: true });
    }
    expect((await state()).layers).toHaveLength(before.layers.length + 3);
    await test.builds.pruneCache(PRUNE_ALL, new AbortController().signal);
    expect(await state()).toEqual(before);
  });

  it('comes down to its limits by itself, at most once a minute', async () => {
    test.builds.reconfigure({ kind: 'policy', rules: [PRUNE_ALL] });
    const { id } = await test.build('FROM base:1\nENV A=b\nRUN make\n');
    await expect.poll(async () => test.builds.cache()).toEqual([]);
    // What an image has stays with it.
    expect(test.room.layerTable.get(test.room.images.get(id ?? '').chainId as never)).not.toBeNull();
    const second = await test.build('FROM base:1\nENV A=b\nRUN more\n');
    await test.room.images.remove(second.id ?? '', { force: true, prune: true });
    expect(await test.builds.cache()).toHaveLength(1);
    await test.room.clock.advance(61_000);
    await expect.poll(async () => test.builds.cache()).toEqual([]);
    await test.builds.collectCache();
  });

  it('comes down to its limits a minute after the start, too', async () => {
    await test.build('FROM base:1\nRUN make\n');
    const none = {
      all: true,
      keepBytes: null,
      maxUsedBytes: null,
      minFreeBytes: null,
      until: null,
      filters: new Map(),
    };
    expect(await test.builds.cache()).toHaveLength(1);
    await test.room.clock.advance(61_000);
    test.builds.reconfigure({ kind: 'policy', rules: [none] });
    await test.builds.recover();
    await test.room.clock.advance(59_000);
    expect(await test.builds.cache()).toHaveLength(1);
    await test.room.clock.advance(2_000);
    await expect.poll(async () => test.builds.cache()).toEqual([]);
  });

  it('forgets changes of configurations that nobody builds any more', async () => {
    const rows = (): number => test.room.database.all('SELECT * FROM build_step').length;
    test.builds.reconfigure({ kind: 'policy', rules: [] });
    await test.build('FROM base:1\nENV A=b\nENV B=c\n');
    expect(rows()).toBe(2);
    await test.room.clock.advance(59 * 86_400_000);
    await test.build('FROM base:1\nENV A=b\n');
    await test.room.clock.advance(2 * 86_400_000);
    await test.builds.collectCache();
    expect(rows()).toBe(1);
  });

  it('leaves what images share unless all is to go', async () => {
    const { id } = await test.build('FROM base:1\nRUN make\n');
    const signal = new AbortController().signal;
    expect((await test.builds.pruneCache({ ...PRUNE_ALL, all: false }, signal)).removed).toEqual([]);
    expect((await test.builds.pruneCache(PRUNE_ALL, signal)).removed).toHaveLength(1);
    expect(test.room.layerTable.get(test.room.images.get(id ?? '').chainId as never)).not.toBeNull();
  });

  it('takes away at the start what a killed build had made', async () => {
    const before = await state();
    const { promise: running, resolve } = Promise.withResolvers<void>();
    test.onRun = async ({ signal }) => {
      resolve();
      await new Promise<void>((done) => {
        signal.addEventListener('abort', () => done());
      });
    };
    void test.build('FROM base:1\nENV A=b\nRUN make\n');
    await running;
    expect((await state()).images).toHaveLength(before.images.length + 1);
    const next = await makeBuildRoom(test.room);
    await test.room.images.recover();
    await next.builds.recover();
    expect((await state()).images).toEqual(before.images);
  });
});
