/**
 * Chaos over a real daemon's builds: several at once, chosen by a seed, good, failing and hostile ones, whose clients go
 * now and then, beside prunes and checks, on a small disk that is full at times, until the daemon is killed. After each
 * restart nothing of a step may be left and the store must be sound; what was built must be what its Dockerfile says,
 * whatever the cache brought; and when all is pruned, nothing may stay.
 */
import { request } from 'node:http';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { StoreReport } from '../../src/engine/check/types.ts';
import { makeChaosDisk, type ChaosDisk } from './chaos-disk.ts';
import { generator, noise } from './chaos-images.ts';
import { run, TestEngine, until } from './engine.ts';
import { keptIn } from './kept-in-store.ts';
import { MOORED } from './program.ts';
import { tarOf, type Member } from './tar-builder.ts';

const CALLERS = 4;
const LIFE_MS = { least: 300, most: 3000 };
const DISK_MIB = { overlay2: 256, vfs: 768, btrfs: 384 };
/** Different contents of the contexts: few, so that builds meet in the cache. */
const WORDS = 6;

/** Of the containers that show what was built, and no steps: a daemon killed before their start keeps them, as dockerd does. */
const OURS = ['--label', 'chaos=ours'];

export type BuildChaosDriver = keyof typeof DISK_MIB;

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** A Dockerfile with its context, and what the image's command says; null: it must fail. */
interface Recipe {
  readonly dockerfile: string;
  readonly context: readonly Member[];
  readonly says: string | null;
}

export class BuildChaos implements AsyncDisposable {
  readonly engine: TestEngine;
  /** How often builds ended how. */
  readonly tally = new Map<string, number>();
  /** What nobody could expect. */
  readonly complaints = new Set<string>();
  readonly #disk: ChaosDisk;
  readonly #driver: BuildChaosDriver;
  readonly #random: () => number;
  #fresh: Readonly<Record<string, unknown>> = {};
  #isOver = false;
  #wasTight = false;

  private constructor(engine: TestEngine, disk: ChaosDisk, driver: BuildChaosDriver, seed: number) {
    this.engine = engine;
    this.#disk = disk;
    this.#driver = driver;
    this.#random = generator(seed);
  }

  static async start(seed: number, driver: BuildChaosDriver = 'overlay2'): Promise<BuildChaos> {
    const disk = await makeChaosDisk(driver === 'btrfs' ? 'btrfs' : 'tmpfs', DISK_MIB[driver]);
    const engine = await TestEngine.start('--data-root', disk.path, '--storage-driver', driver, '--bridge', 'none');
    const chaos = new BuildChaos(engine, disk, driver, seed);
    try {
      await engine.importBusybox();
      // Once all places have been made that are made when they are needed.
      for (const make of RECIPES) await chaos.#build(make('warm', chaos.#random), 'warm');
      chaos.#demandEqual([...chaos.complaints], [], 'the first builds');
      await chaos.#takeAllAway();
      chaos.#fresh = chaos.#kept();
      return chaos;
    } catch (error) {
      await chaos[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.engine[Symbol.asyncDispose]();
    } finally {
      await this.#disk[Symbol.asyncDispose]();
    }
  }

  /** One life of the daemon, its end and its restart, and all that must hold then. */
  async round(): Promise<void> {
    const lifeMs = LIFE_MS.least + this.#random() * (LIFE_MS.most - LIFE_MS.least);
    const tightAfterMs = this.#random() < 0.4 ? this.#random() * lifeMs : null;
    [this.#isOver, this.#wasTight] = [false, false];
    const callers = Array.from({ length: CALLERS }, async (_, index) => this.#call(index));
    if (tightAfterMs !== null) {
      await after(tightAfterMs);
      this.#wasTight = true;
      this.#disk.tighten(this.#random() * 2000);
    }
    await after(lifeMs - (tightAfterMs ?? 0));
    this.#isOver = true;
    await this.engine.end(this.#random() < 0.8 ? 'SIGKILL' : 'SIGTERM');
    await Promise.all(callers);
    this.#disk.loosen();
    await this.engine.boot();
    await this.#verify();
  }

  /** Takes everything away: what is kept then is what was there in the beginning. */
  async finish(): Promise<void> {
    await this.#takeAllAway();
    this.#demandEqual(this.#kept(), this.#fresh, 'with everything pruned');
  }

  async #call(index: number): Promise<void> {
    for (let nth = 0; !this.#isOver; nth += 1) {
      const share = this.#random();
      try {
        if (share < 0.6) await this.#buildAndRun(`${String(index)}-${String(nth)}`);
        else if (share < 0.8) await this.#build(this.#recipe(), 'left', this.#random() * 600);
        else if (share < 0.86) await this.#api('POST', `/build/prune${this.#random() < 0.5 ? '?all=1' : ''}`);
        else if (share < 0.91) await this.#api('POST', '/images/prune');
        else if (share < 0.95) await this.#api('GET', '/system/df');
        else await this.#api('POST', '/system/check?repair=1');
      } catch (error) {
        this.#complain(String(error));
      }
    }
  }

  /** What goes wrong while the daemon is being ended says nothing. */
  #complain(words: string): void {
    if (!this.#isOver) this.complaints.add(words);
  }

  async #buildAndRun(tag: string): Promise<void> {
    const recipe = this.#recipe();
    const isBuilt = await this.#build(recipe, tag);
    if (!isBuilt || recipe.says === null || this.#isOver || this.#wasTight) return;
    await this.#says(`chaos:${tag}`, recipe.says);
  }

  async #says(image: string, words: string): Promise<void> {
    const { code, stdout, stderr } = await this.engine.docker(['run', '--rm', ...OURS, '--network', 'none', image]);
    if (this.#isOver || this.#wasTight) return;
    if (code !== 0 || stdout !== words) {
      this.complaints.add(`${image} says ${stdout}${stderr} in place of ${words}`);
    }
  }

  #recipe(): Recipe {
    const make = RECIPES[Math.floor(this.#random() * RECIPES.length)];
    return (make ?? fail('no recipes'))(String(Math.floor(this.#random() * WORDS)), this.#random);
  }

  /** True when there is an image now. `leaveAfterMs`: its client goes then. */
  async #build(recipe: Recipe, tag: string, leaveAfterMs: number | null = null): Promise<boolean> {
    const tar = tarOf([{ name: 'Dockerfile', data: recipe.dockerfile }, ...recipe.context]);
    const query = `dockerfile=Dockerfile&t=chaos:${tag}&networkmode=none${this.#random() < 0.2 ? '&nocache=1' : ''}`;
    const abort = leaveAfterMs === null ? null : AbortSignal.timeout(Math.floor(leaveAfterMs));
    const answer = await this.#api('POST', `/build?${query}`, tar, abort).catch((error: unknown) => {
      if (abort?.aborted === true || this.#isOver) return null;
      throw error;
    });
    const isBuilt = answer?.body.includes('Successfully built') === true;
    const how = answer === null ? 'left' : isBuilt ? 'built' : 'failed';
    this.tally.set(how, (this.tally.get(how) ?? 0) + 1);
    if (answer === null || this.#isOver || this.#wasTight) return false;
    if (isBuilt !== (recipe.says !== null)) {
      this.complaints.add(`${recipe.dockerfile}\n${String(answer.status)} ${answer.body.slice(-600)}`);
    }
    if (answer.status >= 500 && !answer.body.includes('message')) this.complaints.add(answer.body);
    return isBuilt;
  }

  /** What a daemon finds that comes up after another. */
  async #verify(): Promise<void> {
    const ours = encodeURIComponent('{"label":["chaos=ours"]}');
    const { body: list } = await this.#api('GET', `/containers/json?all=1&filters=${ours}`);
    for (const { Id } of JSON.parse(list) as { Id: string }[]) await this.#api('DELETE', `/containers/${Id}?force=1`);
    await until(async () => (await this.#api('GET', '/containers/json?all=1')).body.trim() === '[]').catch(async () => {
      const { body } = await this.#api('GET', '/containers/json?all=1');
      throw new Error(`containers of steps are left: ${body}\n${this.engine.log().slice(-2000)}`);
    });
    const { findings } = await this.#check('--deep');
    this.#demandEqual(findings, [], 'the check after a restart');
    this.#wasTight = false;
    this.#isOver = false;
    // What the cache still knows must be true.
    for (let nth = 0; nth < RECIPES.length / 2; nth += 1) {
      const recipe = this.#recipe();
      if (await this.#build(recipe, 'again')) await this.#says('chaos:again', recipe.says ?? '');
    }
    this.#demandEqual([...this.complaints], [], 'builds after a restart');
    if (this.#random() < 0.5) await this.finish();
  }

  async #takeAllAway(): Promise<void> {
    await until(async () => (await this.#api('GET', '/containers/json?all=1')).body.trim() === '[]');
    await this.#api('POST', '/build/prune?all=1');
    for (;;) {
      const images = JSON.parse((await this.#api('GET', '/images/json')).body) as { RepoTags: string[] | null }[];
      const tags = images.flatMap(({ RepoTags }) => RepoTags ?? []).filter((name) => name.startsWith('chaos:'));
      if (tags.length === 0) break;
      for (const name of tags) await this.#api('DELETE', `/images/${name}?force=1`);
    }
    await this.#api('POST', '/images/prune');
    await this.#api('POST', '/build/prune?all=1');
  }

  #kept(): Readonly<Record<string, unknown>> {
    return keptIn(this.#disk.path, join(this.engine.root, 'exec'), this.#driver);
  }

  async #check(...words: readonly string[]): Promise<StoreReport> {
    const places = ['--data-root', this.#disk.path, '--exec-root', join(this.engine.root, 'exec')];
    const others = ['--storage-driver', this.#driver, '-H', `unix://${this.engine.socketPath}`];
    const { stdout, stderr } = await run(MOORED, ['check', '--json', ...words, ...places, ...others], {});
    if (stdout === '') throw new Error(`the check says nothing: ${stderr}`);
    return JSON.parse(stdout) as StoreReport;
  }

  #demandEqual(actual: unknown, expected: unknown, when: string): void {
    if (isDeepStrictEqual(actual, expected)) return;
    const warnings = this.engine
      .log()
      .split('\n')
      .filter((line) => /warn|error/i.test(line));
    const told = [actual, expected].map((what) => JSON.stringify(what, null, 1));
    throw new Error(`${when}: ${told.join('\nin place of ')}\n${warnings.slice(-10).join('\n')}`);
  }

  #api(method: string, path: string, body?: Buffer, signal: AbortSignal | null = null): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const headers = body === undefined ? {} : { 'content-type': 'application/x-tar' };
      const options = { socketPath: this.engine.socketPath, method, path, headers, agent: false, timeout: 60_000 };
      const outgoing = request({ ...options, ...(signal === null ? {} : { signal }) }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }));
      });
      outgoing.on('timeout', () => outgoing.destroy(new Error(`${method} ${path} hangs`)));
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }
}

type Make = (word: string, random: () => number) => Recipe;

const good = (lines: readonly string[], word: string, context: readonly Member[] = []): Recipe => ({
  dockerfile: ['FROM busybox', ...lines, 'CMD ["cat", "/word"]'].join('\n'),
  context: [{ name: 'word', data: word }, ...context],
  says: word,
});
const bad = (lines: readonly string[], context: readonly Member[] = []): Recipe => ({
  dockerfile: lines.join('\n'),
  context,
  says: null,
});

const RECIPES: readonly Make[] = [
  (word) => good(['COPY word /word'], word),
  (word) => good([`RUN echo -n ${word} > /word`, 'RUN rm -rf /var/spool && mkdir /made && touch /made/it'], word),
  (word) => good(['COPY . /all/', 'RUN cp /all/word /word && sleep 0.2'], word, [{ name: 'more/', type: '5' }]),
  (word) => ({
    ...good([], word),
    dockerfile: [
      'FROM busybox AS one',
      'COPY word /one',
      'RUN sleep 0.1; cat /one > /copy',
      'FROM busybox AS two',
      'RUN echo two > /two',
      'FROM busybox',
      'COPY --from=one /copy /word',
      'COPY --from=two /two /two',
      'CMD ["cat", "/word"]',
    ].join('\n'),
  }),
  (word) =>
    good(
      ['RUN --mount=type=cache,target=/cache date > /cache/last', 'WORKDIR /deep/er', `RUN echo -n ${word} > /word`],
      word,
    ),
  // Grows what a full disk has no room for.
  (word, random) =>
    good(['COPY noise /noise', 'COPY word /word'], word, [{ name: 'noise', data: noise(random, 900_000) }]),
  () => bad(['FROM busybox', 'RUN echo half > /half', 'RUN exit 3']),
  () => bad(['FROM busybox', 'COPY absent /']),
  () => bad(['FROM busybox', 'RNU true']),
  // Nobody listens there.
  () => bad(['FROM 127.0.0.1:1/nobody/has:this', 'RUN true']),
  // Leads to a file of this host's, but not of the context's.
  () => bad(['FROM busybox', 'COPY out/passwd /'], [{ name: 'out', type: '2', linkName: '/etc' }]),
];

async function after(ms: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

function fail(message: string): never {
  throw new Error(message);
}
