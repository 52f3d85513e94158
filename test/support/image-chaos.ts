/**
 * Chaos over a real daemon's image verbs: many at once, chosen by a seed, on a small disk that is full now and then, until
 * the daemon is killed. After each restart the store must be sound, every image that is shown must run, and go through save
 * and load; and when the images are removed, nothing may stay.
 */
import { request } from 'node:http';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { StoreReport } from '../../src/engine/check/types.ts';
import { makeChaosDisk, type ChaosDisk } from './chaos-disk.ts';
import { run, TestEngine, until } from './engine.ts';
import { pushImage, startRegistry, type TestRegistry } from './registry.ts';
import { imagesWith, generator, noise, TAGS } from './chaos-images.ts';
import { EMPTY, keptIn } from './kept-in-store.ts';
import { MOORED } from './program.ts';
import { syntheticImage, tarOf } from './synthetic-image.ts';

/** vfs has a copy of each layer's whole tree. */
const DISK_MIB = { overlay2: 192, vfs: 768, btrfs: 384 };
/** How many callers are at work at the same time. */
const CALLERS = 5;
const LIFE_MS = { least: 200, most: 3000 };
/** What a verb may answer while nothing is wrong with the disk: done, no such image, in use, wrong name. */
const CALM = new Set([200, 201, 204, 304, 400, 404, 409]);
/** The same of what is told in a stream. */
const CALM_WORDS = /does not exist|could not find image from tag|no tags to push/;

export type ChaosDriver = keyof typeof DISK_MIB;

interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

interface ListedImage {
  readonly Id: string;
  readonly RepoTags: readonly string[] | null;
  readonly Labels: Readonly<Record<string, string>> | null;
}

export class ImageChaos implements AsyncDisposable {
  readonly engine: TestEngine;
  /** How often each verb ended well and not. */
  readonly tally = new Map<string, { done: number; failed: number }>();
  /** What failed on a sound disk, by its words. */
  readonly complaints = new Map<string, number>();
  readonly #registry: TestRegistry;
  readonly #disk: ChaosDisk;
  readonly #root: string;
  readonly #driver: ChaosDriver;
  readonly #random: () => number;
  readonly #archives: Buffer[] = [];
  readonly #tree: Buffer;
  #fresh: Readonly<Record<string, unknown>> = {};
  #made = 0;
  #isOver = false;
  #isTight = false;

  private constructor(
    engine: TestEngine,
    registry: TestRegistry,
    options: { disk: ChaosDisk; driver: ChaosDriver; seed: number; tree: Buffer },
  ) {
    this.engine = engine;
    this.#registry = registry;
    this.#disk = options.disk;
    this.#root = options.disk.path;
    this.#driver = options.driver;
    this.#random = generator(options.seed);
    this.#tree = options.tree;
  }

  static async start(seed: number, driver: ChaosDriver = 'overlay2'): Promise<ImageChaos> {
    const registry = await startRegistry();
    const busybox = Buffer.from((await run('sh', ['-c', 'base64 -w0 "$(command -v busybox)"'], {})).stdout, 'base64');
    for (const [tag, layers, options] of imagesWith(busybox, generator(seed ^ 0x5eed))) {
      await pushImage(registry.host, 'c/haos', tag, await syntheticImage(layers, options));
    }
    const disk = await makeChaosDisk(driver === 'btrfs' ? 'btrfs' : 'tmpfs', DISK_MIB[driver]);
    const engine = await TestEngine.start('--data-root', disk.path, '--storage-driver', driver, '--bridge', 'none');
    const tree = await tarOf({ 'bin/': '', 'bin/busybox': busybox });
    const chaos = new ImageChaos(engine, registry, { disk, driver, seed, tree });
    // Once all places have been made that are made when they are needed.
    try {
      await chaos.finish();
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
      await this.#registry[Symbol.asyncDispose]();
    }
  }

  /** One life of the daemon, its end and its restart, and all that must hold then. */
  async round(): Promise<void> {
    const lifeMs = LIFE_MS.least + this.#random() * (LIFE_MS.most - LIFE_MS.least);
    const tightAfter = this.#random() < 0.4 ? this.#random() * lifeMs : null;
    this.#isOver = false;
    if ((await this.#list()).length === 0) for (const tag of TAGS.slice(0, 3)) await this.#pull(tag);
    const before = this.#done();
    const callers = Array.from({ length: CALLERS }, async () => this.#call());
    if (tightAfter !== null) {
      await after(tightAfter);
      this.#tighten();
    }
    await after(lifeMs - (tightAfter ?? 0));
    if (this.#done() === before) {
      // On a busy machine, or a full disk, the shortest lives would end before anything has been done in them.
      this.#disk.loosen();
      await until(() => this.#done() > before, LIFE_MS.most * 10);
    }
    this.#isOver = true;
    await this.engine.end(this.#random() < 0.85 ? 'SIGKILL' : 'SIGTERM');
    await Promise.all(callers);
    this.#loosen();
    if (this.#random() < 0.25) {
      const offline = await this.#check('--deep', '--repair');
      demand(offline.problems === 0, `the check without the daemon left problems: ${JSON.stringify(offline.findings)}`);
    }
    await this.engine.boot();
    await this.#verify();
  }

  /** Pulls everything once, so that no download waits to be taken up again, and takes it all away. */
  async finish(): Promise<void> {
    for (const tag of TAGS) await this.#pull(tag);
    for (const image of await this.#list()) await this.#runs(image);
    await this.#removeAll();
    demandEqual(this.#kept(), { ...this.#kept(), ...EMPTY, ...this.#fresh }, 'with nothing in the store');
  }

  /** How many verbs have done what they were asked to. */
  #done(): number {
    return [...this.tally.values()].reduce((sum, { done }) => sum + done, 0);
  }

  #kept(): Readonly<Record<string, unknown>> {
    return keptIn(this.#root, join(this.engine.root, 'exec'), this.#driver);
  }

  async #pull(tag: string): Promise<void> {
    const { body } = await this.#api('POST', `/images/create?fromImage=${encodeURIComponent(this.#name(tag))}`);
    demand(body.includes('"status":"Status: '), `the pull of ${tag}: ${body.toString().slice(-300)}`);
  }

  async #call(): Promise<void> {
    const verbs = Object.entries(this.#verbs());
    while (!this.#isOver) {
      const [name, verb] = this.#pick(verbs) ?? fail('no verbs');
      const entry = this.tally.get(name) ?? { done: 0, failed: 0 };
      this.tally.set(name, entry);
      const isDone = await verb().catch(() => false);
      if (isDone) entry.done += 1;
      else entry.failed += 1;
    }
  }

  #verbs(): Readonly<Record<string, () => Promise<boolean>>> {
    const pull = async (): Promise<boolean> =>
      this.#ask('pull', 'POST', `/images/create?fromImage=${encodeURIComponent(this.#name(this.#pick(TAGS)))}`);
    const someName = async (): Promise<string> => this.#pick(await this.#names()) ?? 'none:0';
    const save = async (): Promise<boolean> => {
      const names = [await someName(), await someName()].map((name) => `names=${encodeURIComponent(name)}`);
      const { status, body } = await this.#api('GET', `/images/get?${names.join('&')}`);
      if (status === 200) this.#archives[Math.floor(this.#random() * 4)] = body;
      else this.#note('save', status, body);
      return status === 200;
    };
    const remove = async (): Promise<boolean> => {
      const force = this.#random() < 0.5 ? '?force=1' : '';
      return this.#ask('rmi', 'DELETE', `/images/${encodeURIComponent(await someName())}${force}`);
    };
    return {
      pull,
      pullAgain: pull,
      pullLeft: async () =>
        this.#left('POST', `/images/create?fromImage=${encodeURIComponent(this.#name(this.#pick(TAGS)))}`),
      push: async () => {
        const copy = `${this.#registry.host}/c/opy`;
        const tag = String(Math.floor(this.#random() * 4));
        await this.#ask('tag', 'POST', `/images/${encodeURIComponent(await someName())}/tag?repo=${copy}&tag=${tag}`);
        return this.#ask('push', 'POST', `/images/${copy}/push?tag=${tag}`, { 'x-registry-auth': 'e30=' });
      },
      save,
      saveLeft: async () => this.#left('GET', `/images/get?names=${encodeURIComponent(await someName())}`),
      load: async () => {
        const archive = this.#pick(this.#archives);
        if (archive === undefined) return save();
        const isCut = this.#random() < 0.3;
        const bytes = isCut ? archive.subarray(0, Math.floor(archive.length * this.#random())) : archive;
        return this.#ask(isCut ? null : 'load', 'POST', '/images/load', {}, bytes);
      },
      import: async () => this.#import(),
      commit: async () => this.#commit(),
      tag: async () => {
        const tag = `repo=tagged&tag=${String(Math.floor(this.#random() * 5))}`;
        return this.#ask('tag', 'POST', `/images/${encodeURIComponent(await someName())}/tag?${tag}`);
      },
      remove,
      removeAgain: remove,
      prune: async () =>
        this.#ask('prune', 'POST', `/images/prune?filters=${encodeURIComponent('{"dangling":["true"]}')}`),
      collect: async () => this.#ask('gc', 'POST', '/system/gc'),
      run: async () => this.#run(await someName()),
      check: async () => this.#ask('check', 'POST', '/system/check?repair=1'),
    };
  }

  async #import(): Promise<boolean> {
    const nth = (this.#made += 1);
    const more = await tarOf({ word: `import ${String(nth)}`, noise: noise(generator(nth), 200_000) });
    // Without the end-of-archive blocks of the first.
    const bytes = Buffer.concat([this.#tree.subarray(0, -1024), more]);
    const changes = [`LABEL word="import ${String(nth)}"`, 'CMD ["/bin/busybox","cat","/word"]'];
    const query = changes.map((change) => `&changes=${encodeURIComponent(change)}`).join('');
    const repo = `&repo=imported&tag=${String(nth % 5)}`;
    return this.#ask('import', 'POST', `/images/create?fromSrc=-${repo}${query}`, {}, bytes);
  }

  async #create(image: string, config: object): Promise<string | null> {
    const body = Buffer.from(JSON.stringify({ Image: image, ...config }));
    const { status, body: text } = await this.#api('POST', '/containers/create', JSON_TYPE, body);
    if (status !== 201) this.#note('create', status, text);
    return status === 201 ? (JSON.parse(text.toString()) as { Id: string }).Id : null;
  }

  async #run(image: string): Promise<boolean> {
    const id = await this.#create(image, { HostConfig: { AutoRemove: true, NetworkMode: 'none' } });
    if (id === null) return false;
    if (!(await this.#ask('start', 'POST', `/containers/${id}/start`))) return false;
    return this.#ask('wait', 'POST', `/containers/${id}/wait`);
  }

  async #commit(): Promise<boolean> {
    const image = this.#pick(await this.#names());
    if (image === undefined) return false;
    const nth = (this.#made += 1);
    const Cmd = [
      '/bin/busybox',
      'sh',
      '-c',
      `/bin/busybox seq ${String(nth * 1000)} > /made; /bin/busybox rm -f /gone`,
    ];
    const id = await this.#create(image, { Cmd, HostConfig: { NetworkMode: 'none' } });
    if (id === null) return false;
    const isStarted = await this.#ask('start', 'POST', `/containers/${id}/start`);
    const body = Buffer.from(JSON.stringify({ Cmd: ['/bin/busybox', 'cat', '/word'] }));
    const query = `container=${id}&repo=committed&tag=${String(nth % 5)}`;
    const isDone = isStarted && (await this.#ask('commit', 'POST', `/commit?${query}`, JSON_TYPE, body));
    await this.#ask('rm', 'DELETE', `/containers/${id}?force=1`);
    return isDone;
  }

  async #names(): Promise<readonly string[]> {
    const images = await this.#list();
    return images.flatMap(({ Id, RepoTags }) => [Id, ...(RepoTags ?? []).filter((name) => name !== '<none>:<none>')]);
  }

  async #list(): Promise<readonly ListedImage[]> {
    const { body } = await this.#api('GET', '/images/json?all=1');
    return JSON.parse(body.toString()) as ListedImage[];
  }

  async #verify(): Promise<void> {
    const { findings } = await this.#check('--deep');
    demandEqual(findings, [], 'the check after a restart');
    await this.#removeContainers();
    const saved = new Map<string, Buffer>();
    for (const image of await this.#list()) {
      await this.#runs(image);
      const { status, body } = await this.#api('GET', `/images/${image.Id}/get`);
      demand(status === 200, `${image.Id} cannot be saved: ${body.subarray(0, 300).toString()}`);
      saved.set(image.Id, body);
    }
    if (this.#random() < 0.6) return;
    await this.#removeAll();
    const { downloads, ...kept } = this.#kept();
    const { downloads: _none, ...fresh } = this.#fresh;
    demandEqual(kept, fresh, 'with every image removed');
    demand((downloads as readonly string[]).length < 20, 'downloads pile up');
    if (this.#random() < 0.5) return;
    for (const [id, archive] of saved) {
      const { body } = await this.#api('POST', '/images/load', {}, archive);
      demand(body.includes('Loaded image'), `${id} cannot be loaded again: ${body.toString().slice(-300)}`);
    }
    const again = await this.#list();
    demandEqual(again.map(({ Id }) => Id).toSorted(), [...saved.keys()].toSorted(), 'what was loaded');
    for (const image of again) await this.#runs(image);
    demandEqual((await this.#check('--deep')).findings, [], 'the check after loading');
  }

  async #runs({ Id, Labels }: ListedImage): Promise<void> {
    const { code, stdout, stderr } = await this.engine.docker(['run', '--rm', '--network', 'none', Id]);
    demand(code === 0 && stdout === (Labels?.['word'] ?? ''), `${Id} does not run: ${stdout}${stderr}`);
  }

  async #removeContainers(): Promise<void> {
    const { body } = await this.#api('GET', '/containers/json?all=1');
    for (const { Id } of JSON.parse(body.toString()) as { Id: string }[]) {
      const removed = await this.#api('DELETE', `/containers/${Id}?force=1&v=1`);
      demand([204, 404, 409].includes(removed.status), `container ${Id}: ${removed.body.toString()}`);
    }
    await until(async () => (await this.#api('GET', '/containers/json?all=1')).body.toString().trim() === '[]');
  }

  /** Children before their parents. */
  async #removeAll(): Promise<void> {
    await this.#removeContainers();
    for (;;) {
      const images = await this.#list();
      if (images.length === 0) return;
      let removed = 0;
      for (const { Id } of images) {
        const { status, body } = await this.#api('DELETE', `/images/${Id}?force=1`);
        demand([200, 404, 409].includes(status), `image ${Id}: ${body.toString()}`);
        removed += status === 409 ? 0 : 1;
      }
      demand(removed > 0, 'no image can be removed');
    }
  }

  async #check(...words: readonly string[]): Promise<StoreReport> {
    const places = ['--data-root', this.#root, '--exec-root', join(this.engine.root, 'exec')];
    const storage = ['--storage-driver', this.#driver];
    const host = ['-H', `unix://${this.engine.socketPath}`];
    const { stdout, stderr } = await run(MOORED, ['check', '--json', ...words, ...places, ...storage, ...host], {});
    demand(stdout !== '', `the check says nothing: ${stderr}`);
    return JSON.parse(stdout) as StoreReport;
  }

  /** Leaves the disk little or no room. */
  #tighten(): void {
    this.#isTight = true;
    this.#disk.tighten(this.#random() * 2000);
  }

  #loosen(): void {
    this.#disk.loosen();
    this.#isTight = false;
  }

  async #ask(
    verb: string | null,
    method: string,
    path: string,
    headers: Readonly<Record<string, string>> = {},
    body?: Buffer,
  ): Promise<boolean> {
    const answer = await this.#api(method, path, headers, body);
    const error = /"error":"((?:[^"\\]|\\.)*)"/.exec(answer.body.toString('latin1'))?.[1];
    if (answer.status < 300 && error === undefined) return true;
    if (verb !== null) this.#note(verb, answer.status, Buffer.from(error ?? answer.body));
    return false;
  }

  #note(verb: string, status: number, body: Buffer): void {
    if (this.#isTight || this.#isOver || (CALM.has(status) && status >= 400)) return;
    if (CALM_WORDS.test(body.toString())) return;
    const text = body.toString('latin1', 0, 400).replace(/[0-9a-f]{12,}|\d{3,}/g, '…');
    const key = `${verb} ${String(status)} ${text}`;
    this.complaints.set(key, (this.complaints.get(key) ?? 0) + 1);
  }

  /** Asks, and goes before the answer has ended. */
  async #left(method: string, path: string): Promise<boolean> {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), this.#random() * 200);
    const answer = await this.#api(method, path, {}, undefined, abort.signal).catch(() => null);
    clearTimeout(timer);
    return answer === null;
  }

  #api(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>> = {},
    body?: Buffer,
    signal?: AbortSignal,
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const options = { socketPath: this.engine.socketPath, method, path, headers, agent: false, timeout: 60_000 };
      const outgoing = request({ ...options, ...(signal === undefined ? {} : { signal }) }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
      });
      outgoing.on('timeout', () => outgoing.destroy(new Error(`${method} ${path} hangs`)));
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }

  #name(tag: string | undefined): string {
    return `${this.#registry.host}/c/haos:${tag ?? ''}`;
  }

  #pick<T>(list: readonly T[]): T | undefined {
    const present = list.filter((one) => one !== undefined);
    return present[Math.floor(this.#random() * present.length)];
  }
}

const JSON_TYPE = { 'content-type': 'application/json' };

async function after(ms: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

function demand(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}

function demandEqual(actual: unknown, expected: unknown, when: string): void {
  if (isDeepStrictEqual(actual, expected)) return;
  const differs = (key: string): boolean =>
    !isDeepStrictEqual(Reflect.get(Object(actual), key), Reflect.get(Object(expected), key));
  const keys = Object.keys(Object(expected))
    .concat(Object.keys(Object(actual)))
    .filter(differs);
  const told = [...new Set(keys)].map(
    (key) =>
      `${key}: ${JSON.stringify(Reflect.get(Object(actual), key))} in place of ${JSON.stringify(Reflect.get(Object(expected), key))}`,
  );
  throw new Error(`${when}: ${told.join('\n')}`);
}

function fail(message: string): never {
  throw new Error(message);
}
