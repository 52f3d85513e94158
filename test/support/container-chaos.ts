/**
 * Chaos over a real daemon's container verbs: many clients at once, each with a container of its own and a life for it
 * that a seed chooses, now and then laying hands on somebody else's, vanishing from streams, and going on while the
 * daemon is killed and comes up again. When all is removed, nothing may be held that was not held before.
 */
import { randomBytes } from 'node:crypto';
import { rmdirSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { belongingsOf, cgroupRoots, type Belongings } from './belongings.ts';
import { generator } from './chaos-images.ts';
import { TestEngine, until, type ApiResult } from './engine.ts';
import { RawClient } from './raw-client.ts';

/** Done, streams taken over, not there, conflict with somebody else's verb, no longer so. */
const CALM = new Set([101, 200, 201, 204, 304, 404, 409]);

const SETTLED_MS = 30_000;
/** All clients together, on a busy machine. */
const LIMIT_MS = 240_000;

type Life = (client: Client) => Promise<void>;

export class ContainerChaos implements AsyncDisposable {
  readonly engine: TestEngine;
  /** How often each verb was answered how. */
  readonly tally = new Map<string, number>();
  /** What nobody could expect. */
  readonly complaints = new Set<string>();
  readonly #random: () => number;
  readonly #cgroupParent: string;
  readonly #pending = new Map<symbol, string>();
  #isKilled = false;
  #before: Belongings | null = null;

  private constructor(engine: TestEngine, seed: number, cgroupParent: string) {
    this.engine = engine;
    this.#random = generator(seed);
    this.#cgroupParent = cgroupParent;
  }

  static async start(seed: number): Promise<ContainerChaos> {
    const parent = `moored-chaos-${randomBytes(4).toString('hex')}`;
    const engine = await TestEngine.start('--cgroup-parent', `/${parent}`);
    const chaos = new ContainerChaos(engine, seed, parent);
    try {
      await engine.importBusybox();
      // Once all is open and made that is made when it is needed first.
      for (const life of LIVES) await life(chaos.#client('warm'));
      await chaos.removeAll();
      // An exec's files stay until its end is in the history.
      await until(() => !JSON.stringify(belongingsOf(engine, parent)['exec']).includes('execs/'), SETTLED_MS);
      chaos.#before = belongingsOf(engine, parent);
      return chaos;
    } catch (error) {
      await chaos[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine[Symbol.asyncDispose]();
    for (const path of cgroupRoots(this.#cgroupParent)) rmdirSync(path);
  }

  /** `count` clients at the same time, each living `lives` lives. */
  async clients(count: number, lives: number): Promise<void> {
    const names = Array.from({ length: count }, (_, index) => `client-${String(index)}`);
    const lived = Promise.all(names.map(async (name) => this.#live(name, count, lives)));
    const patience = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      patience.reject(new Error(`clients still wait for ${this.pending.join(', ')}`));
    }, LIMIT_MS);
    try {
      await Promise.race([lived, patience.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Kills the daemon as no daemon can foresee, and starts it again; verbs that are under way are lost. */
  async kill(): Promise<void> {
    this.#isKilled = true;
    await this.engine.end('SIGKILL');
    await this.engine.boot();
    this.#isKilled = false;
  }

  /** Settles when that many verbs have been answered. */
  async answered(count: number): Promise<void> {
    await until(() => [...this.tally.values()].reduce((sum, times) => sum + times, 0) >= count, LIMIT_MS);
  }

  async removeAll(): Promise<void> {
    await until(async () => {
      const listed = (await this.engine.api('GET', '/containers/json?all=1')).json as readonly {
        readonly Id: string;
      }[];
      await Promise.all(listed.map(async ({ Id: id }) => this.call('DELETE', `/containers/${id}?force=1&v=1`)));
      return listed.length === 0;
    });
    await this.engine.api('POST', '/volumes/prune?filters={"all":["true"]}');
  }

  /** What is held now, and what was before. The kernel takes namespaces and links away a moment after their last user. */
  async compared(): Promise<{ readonly now: Belongings; readonly before: Belongings }> {
    const before = this.#before;
    if (before === null) throw new Error('nothing to compare with');
    const look = (): Belongings => withoutGains(belongingsOf(this.engine, this.#cgroupParent), before);
    await until(() => isDeepStrictEqual(look(), before), SETTLED_MS).catch(() => undefined);
    return { now: look(), before };
  }

  /** One request; what was lost with the daemon answers null. */
  async call(method: string, path: string, body?: object): Promise<ApiResult | null> {
    const verb = `${method} ${path.replace(/\?.*/, '').replace(/[0-9a-f]{64}|(client-\d+|warm)/g, '…')}`;
    const answer = await this.#told(verb, this.engine.api(method, path, body));
    if (answer === null) return null;
    this.#count(`${verb} ${String(answer.status)}`);
    if (!CALM.has(answer.status)) this.complaints.add(`${verb}: ${String(answer.status)} ${answer.body}`);
    return answer;
  }

  /** A stream that is taken over; the caller goes away when `isEnough`. */
  async stream(path: string, body: object | null, isEnough: (bytes: Buffer) => boolean): Promise<void> {
    await this.#told(
      `stream ${path.replace(/client-\d+|[0-9a-f]{64}/g, '…')}`,
      RawClient.open(this.engine.socketPath).then(async (client) => {
        client.start(path, body);
        // What is refused is an ordinary answer on a connection that stays.
        if ((await client.head()).startsWith('HTTP/1.1 101')) await client.until(isEnough);
        client.socket.destroy();
      }),
    );
  }

  chance(share: number): boolean {
    return this.#random() < share;
  }

  get pending(): readonly string[] {
    return [...this.#pending.values()];
  }

  async #live(name: string, count: number, lives: number): Promise<void> {
    for (let nth = 0; nth < lives; nth += 1) {
      const life = LIVES[Math.floor(this.#random() * LIVES.length)];
      await life?.(this.#client(name, `client-${String(Math.floor(this.#random() * count))}`));
    }
  }

  #client(name: string, other = name): Client {
    return new Client(this, name, other);
  }

  async #told<T>(verb: string, work: Promise<T>): Promise<T | null> {
    const note = Symbol(verb);
    const wasKilled = this.#isKilled;
    this.#pending.set(note, verb);
    try {
      return await work;
    } catch (error) {
      this.#count(`${verb} lost`);
      if (!wasKilled && !this.#isKilled) this.complaints.add(`${verb}: ${String(error)}`);
      await until(() => !this.#isKilled);
      return null;
    } finally {
      this.#pending.delete(note);
    }
  }

  #count(what: string): void {
    this.tally.set(what, (this.tally.get(what) ?? 0) + 1);
  }
}

/** Workers that have nothing to do any more end, and their descriptors with them: fewer of these are no difference. */
function withoutGains(now: Belongings, before: Belongings): Belongings {
  const counts = Object.entries(before.descriptors).map(([kind, count]) => [
    kind,
    Math.max(count, now.descriptors[kind] ?? 0),
  ]);
  return { ...now, descriptors: { ...now.descriptors, ...Object.fromEntries(counts) } };
}

/** One who lives with a container of its own name. */
class Client {
  readonly chaos: ContainerChaos;
  readonly name: string;
  readonly other: string;

  constructor(chaos: ContainerChaos, name: string, other: string) {
    this.chaos = chaos;
    this.name = name;
    this.other = other;
  }

  /** False when it is not known to be there as asked for: one of an earlier life, whose removal was lost with the daemon, never ends by itself. */
  async create(script: string, more: object = {}): Promise<boolean> {
    const made = await this.chaos.call('POST', `/containers/create?name=${this.name}`, {
      Image: 'busybox',
      Cmd: ['sh', '-c', script],
      ...more,
    });
    return made?.status === 201;
  }

  async post(verb: string): Promise<ApiResult | null> {
    return this.chaos.call('POST', `/containers/${this.name}/${verb}`);
  }

  async remove(query = 'v=1'): Promise<void> {
    await this.chaos.call('DELETE', `/containers/${this.name}?${query}`);
  }

  async exec(command: readonly string[], isEnough: (bytes: Buffer) => boolean): Promise<void> {
    const body = { Cmd: command, AttachStdout: true, AttachStderr: true };
    const made = await this.chaos.call('POST', `/containers/${this.name}/exec`, body);
    if (made?.status !== 201) return;
    const { Id: id } = made.json as { readonly Id: string };
    await this.chaos.stream(`/exec/${id}/start`, { Detach: false, Tty: false }, isEnough);
    await this.chaos.call('GET', `/exec/${id}/json`);
  }
}

const SLEEPER = 'trap "exit 3" TERM; echo up; while :; do sleep 1; done';
const never = (): boolean => false;

/** Ends by itself and is waited for. */
const short: Life = async (client) => {
  if (!(await client.create('echo out; exit 6'))) return client.remove('force=1&v=1');
  const waiting = client.post('wait?condition=next-exit');
  const started = await client.post('start');
  // Nobody ends what did not start; the wait ends with the removal.
  if (started?.status === 204) await waiting;
  await client.remove('force=1&v=1');
  await waiting;
};

/** Takes itself away, with a volume and on no network. */
const passing: Life = async (client) => {
  const more = { HostConfig: { AutoRemove: true, NetworkMode: 'none' }, Volumes: { '/data': {} } };
  if (!(await client.create('echo out', more))) return client.remove('force=1&v=1');
  const waiting = client.post('wait?condition=removed');
  const started = await client.post('start');
  if (started?.status !== 204) await client.remove('force=1&v=1');
  await waiting;
};

/** Is looked into by execs, one of which outlives its caller, and killed while it runs. */
const visited: Life = async (client) => {
  await client.create(SLEEPER);
  await client.post('start');
  await client.exec(['echo', 'hello'], never);
  await client.exec(['sh', '-c', 'echo more; sleep 300'], (bytes) => bytes.includes('more'));
  const killed = client.post('kill');
  await client.exec(['sleep', '1'], never);
  await killed;
  await client.remove('force=1&v=1');
};

/** Has callers at its streams that vanish. */
const watched: Life = async (client) => {
  const more = { OpenStdin: true, AttachStdin: true };
  if (!(await client.create(SLEEPER, more))) return client.remove('force=1&v=1');
  const attached = client.chaos.stream(
    `/containers/${client.name}/attach?stream=1&stdin=1&stdout=1&stderr=1&logs=1`,
    null,
    (bytes) => bytes.includes('up'),
  );
  const started = await client.post('start');
  if (started?.status !== 204) await client.remove('force=1&v=1');
  await attached;
  if (client.chaos.chance(0.5)) await client.post('stop?t=0');
  else await client.post('restart?t=1');
  await client.remove('force=1&v=1');
};

/** Is paused, renamed, updated, and stopped with an exec in it. */
const moved: Life = async (client) => {
  await client.create(SLEEPER, { HostConfig: { RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 2 } } });
  await client.post('start');
  await client.post('pause');
  await client.chaos.call('GET', `/containers/${client.name}/json`);
  await client.post('unpause');
  const visit = client.exec(['sh', '-c', 'trap "" TERM; sleep 1; echo late'], never);
  await client.post(`rename?name=${client.name}-moved`);
  await client.chaos.call('POST', `/containers/${client.name}-moved/stop?t=1`);
  await visit;
  await client.chaos.call('DELETE', `/containers/${client.name}-moved?force=1&v=1`);
  await client.remove('force=1&v=1');
};

/** Does to another's container what its owner does not foresee. */
const meddler: Life = async (client) => {
  const { chaos, other } = client;
  await chaos.call('GET', '/containers/json?all=1');
  await chaos.call('GET', `/containers/${other}/stats?stream=0&one-shot=1`);
  await chaos.call('GET', `/containers/${other}/top`);
  await chaos.call('POST', `/containers/${other}/start`);
  if (chaos.chance(0.5)) await chaos.call('POST', `/containers/${other}/kill`);
  else await chaos.call('POST', `/containers/${other}/restart?t=0`);
  await chaos.call('DELETE', `/containers/${other}?force=1&v=1`);
};

const LIVES: readonly Life[] = [short, passing, visited, watched, moved, meddler];
