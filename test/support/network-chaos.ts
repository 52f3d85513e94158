/**
 * Chaos over a real daemon's networks: many clients make, join, leave and remove networks and containers, their own and
 * one another's, while the daemon is killed and comes up again. The host is a network namespace of its own, so that all
 * of it can be compared: when all is removed, nothing may be held that was not held before.
 */
import { randomBytes } from 'node:crypto';
import { rmdirSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { belongingsOf, cgroupRoots, type Belongings } from './belongings.ts';
import { generator } from './chaos-images.ts';
import { run, TestEngine, until, type ApiResult } from './engine.ts';

/** Done, not there, not allowed now (in use, already connected), conflict with somebody else's verb. */
const CALM = new Set([200, 201, 204, 304, 403, 404, 409]);
/** Docker answers 500 where a start finds its network gone, or somebody else's doing in between. */
const CALM_TEXTS =
  /network [\w-]+ not found|is not connected to|is marked for removal|is not running|No such container|already exists in network|endpoint with name|joining network namespace/;

const SETTLED_MS = 30_000;
/** All clients together, on a busy machine. */
const LIMIT_MS = 240_000;
/** Some go to the same networks, so that they meet. */
const SHARED_NETWORKS = 3;

type Life = (client: Client) => Promise<void>;

export class NetworkChaos implements AsyncDisposable {
  readonly engine: TestEngine;
  /** How often each verb was answered how. */
  readonly tally = new Map<string, number>();
  /** What nobody could expect. */
  readonly complaints = new Set<string>();
  readonly #random: () => number;
  readonly #cgroupParent: string;
  readonly #netnsName: string;
  #isKilled = false;
  #before: Belongings | null = null;

  private constructor(
    engine: TestEngine,
    seed: number,
    names: { readonly cgroupParent: string; readonly netns: string },
  ) {
    this.engine = engine;
    this.#random = generator(seed);
    this.#cgroupParent = names.cgroupParent;
    this.#netnsName = names.netns;
  }

  static async start(seed: number): Promise<NetworkChaos> {
    const tag = randomBytes(4).toString('hex');
    const names = { cgroupParent: `moored-chaos-${tag}`, netns: `mtchaos-${tag}` };
    const netns = `/run/netns/${names.netns}`;
    await run('ip', ['netns', 'add', names.netns], {});
    await run('ip', ['-n', names.netns, 'link', 'set', 'lo', 'up'], {});
    const engine = await TestEngine.startIn(netns, '--cgroup-parent', `/${names.cgroupParent}`);
    const chaos = new NetworkChaos(engine, seed, names);
    try {
      await engine.importBusybox();
      // Once all is open and made that is made when it is needed first.
      for (const life of LIVES) await life(chaos.#client('warm', 0));
      await chaos.removeAll();
      chaos.#before = await chaos.#settled();
      return chaos;
    } catch (error) {
      await chaos[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine[Symbol.asyncDispose]();
    await run('ip', ['netns', 'del', this.#netnsName], {});
    for (const path of cgroupRoots(this.#cgroupParent)) rmdirSync(path);
  }

  /** `count` clients at the same time, each living `lives` lives. */
  async clients(count: number, lives: number): Promise<void> {
    const lived = Promise.all(
      Array.from({ length: count }, async (_, index) => {
        for (let nth = 0; nth < lives; nth += 1) {
          const life = LIVES[Math.floor(this.#random() * LIVES.length)];
          await life?.(this.#client(`client-${String(index)}`, Math.floor(this.#random() * count)));
        }
      }),
    );
    const patience = Promise.withResolvers<never>();
    const timer = setTimeout(() => patience.reject(new Error('clients still wait')), LIMIT_MS);
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

  /** Settles when that many more verbs have been answered. */
  async answered(count: number): Promise<void> {
    const sum = (): number => [...this.tally.values()].reduce((all, times) => all + times, 0);
    const enough = sum() + count;
    await until(() => sum() >= enough, LIMIT_MS);
  }

  async removeAll(): Promise<void> {
    await until(async () => {
      const listed = (await this.engine.api('GET', '/containers/json?all=1')).json as readonly {
        readonly Id: string;
      }[];
      await Promise.all(listed.map(async ({ Id: id }) => this.call('DELETE', `/containers/${id}?force=1&v=1`)));
      return listed.length === 0;
    }, SETTLED_MS);
    const { json } = await this.engine.api('POST', '/networks/prune');
    this.#count(`pruned ${String(((json as { NetworksDeleted: unknown[] | null }).NetworksDeleted ?? []).length)}`);
  }

  /** What is held now, and what was before. */
  async compared(): Promise<{ readonly now: Belongings; readonly before: Belongings }> {
    const before = this.#before;
    if (before === null) throw new Error('nothing to compare with');
    const look = (): Belongings => withoutGains(this.#belongings(), before);
    await until(() => isDeepStrictEqual(look(), before), SETTLED_MS).catch(() => undefined);
    return { now: look(), before };
  }

  /** One request; what was lost with the daemon answers null. */
  async call(method: string, path: string, body?: object): Promise<ApiResult | null> {
    const verb = `${method} ${path.replace(/\?.*/, '').replace(/[0-9a-f]{64}|(?:client-\d+|warm|net-\d+)/g, '…')}`;
    const wasKilled = this.#isKilled;
    try {
      const answer = await this.engine.api(method, path, body);
      this.#count(`${verb} ${String(answer.status)}`);
      if (!CALM.has(answer.status) && !CALM_TEXTS.test(answer.body)) {
        this.complaints.add(`${verb}: ${String(answer.status)} ${answer.body}`);
      }
      return answer;
    } catch (error) {
      this.#count(`${verb} lost`);
      if (!wasKilled && !this.#isKilled) this.complaints.add(`${verb}: ${String(error)}`);
      await until(() => !this.#isKilled, LIMIT_MS);
      return null;
    }
  }

  chance(share: number): boolean {
    return this.#random() < share;
  }

  #client(name: string, other: number): Client {
    const network = `net-${String(Math.floor(this.#random() * SHARED_NETWORKS))}`;
    return { chaos: this, name, other: `client-${String(other)}`, network };
  }

  #belongings(): Belongings {
    return belongingsOf(this.engine, this.#cgroupParent, `/run/netns/${this.#netnsName}`);
  }

  /** Links of what has just been removed are gone a moment later: twice the same is settled. */
  async #settled(): Promise<Belongings> {
    let last = this.#belongings();
    await until(() => {
      const now = this.#belongings();
      const isSame = isDeepStrictEqual(now, last);
      last = now;
      return isSame && !JSON.stringify(now['links']).includes('@if');
    }, SETTLED_MS);
    return last;
  }

  #count(what: string): void {
    this.tally.set(what, (this.tally.get(what) ?? 0) + 1);
  }
}

/** What is opened when it is needed first, a new daemon may not have needed yet: fewer of these are no difference. */
function withoutGains(now: Belongings, before: Belongings): Belongings {
  const counts = Object.entries(before.descriptors).map(([kind, count]) => [
    kind,
    Math.max(count, now.descriptors[kind] ?? 0),
  ]);
  const watches = Math.max(Number(before['watches']), Number(now['watches']));
  return { ...now, watches, descriptors: { ...now.descriptors, ...Object.fromEntries(counts) } };
}

/** One who has a container and a network of its own name, and goes to a network that others go to as well. */
interface Client {
  readonly chaos: NetworkChaos;
  readonly name: string;
  readonly other: string;
  readonly network: string;
}

async function makeNetwork({ chaos }: Client, name: string, more: object = {}): Promise<void> {
  await chaos.call('POST', '/networks/create', { Name: name, Driver: 'bridge', ...more });
}

async function startOn({ chaos, name }: Client, network: string, host: object = {}): Promise<void> {
  await chaos.call('POST', `/containers/create?name=${name}`, {
    ...{ Image: 'busybox', Cmd: ['sh', '-c', 'trap "exit 3" TERM; while :; do sleep 1; done'] },
    Labels: { 'org.moored.network.rate.egress': '100mbit', 'org.moored.network.rate.ingress': '100mbit' },
    ExposedPorts: { '80/tcp': {} },
    HostConfig: { NetworkMode: network, ...host },
  });
  await chaos.call('POST', `/containers/${name}/start`);
}

async function remove({ chaos }: Client, name: string): Promise<void> {
  await chaos.call('DELETE', `/containers/${name}?force=1&v=1`);
}

/** Has a network for itself, with a port published, and takes both away. */
const owner: Life = async (client) => {
  const { chaos, name } = client;
  // The first network of IPv6 switches forwarding and its guard on, which stay.
  await makeNetwork(client, name, { EnableIPv6: name === 'warm' || chaos.chance(0.3) });
  await startOn(client, name, { PortBindings: { '80/tcp': [{ HostPort: '0' }] } });
  await chaos.call('GET', `/networks/${name}`);
  if (chaos.chance(0.5)) await chaos.call('POST', `/containers/${name}/restart?t=0`);
  await remove(client, name);
  await chaos.call('DELETE', `/networks/${name}`);
};

/** Joins others' networks while it runs, and leaves them. */
const guest: Life = async (client) => {
  const { chaos, name, network } = client;
  await makeNetwork(client, network);
  await startOn(client, 'bridge');
  const join = { Container: name, EndpointConfig: { Aliases: ['all', name] } };
  await chaos.call('POST', `/networks/${network}/connect`, join);
  await chaos.call('POST', '/networks/bridge/disconnect', { Container: name, Force: chaos.chance(0.5) });
  if (chaos.chance(0.5)) await chaos.call('POST', `/networks/${network}/disconnect`, { Container: name });
  if (chaos.chance(0.5)) await chaos.call('POST', `/containers/${name}/stop?t=0`);
  await remove(client, name);
};

/** Is on many networks from the start, and goes by itself. */
const wanderer: Life = async (client) => {
  const { chaos, name, network } = client;
  await makeNetwork(client, network);
  await makeNetwork(client, name, { Internal: true });
  const made = await chaos.call('POST', `/containers/create?name=${name}`, {
    ...{ Image: 'busybox', Cmd: ['sleep', '0.2'], HostConfig: { NetworkMode: network, AutoRemove: true } },
    NetworkingConfig: { EndpointsConfig: { [network]: {}, [name]: { Aliases: ['inner'] } } },
  });
  // One of an earlier life, whose removal was lost with the daemon, would never go by itself.
  if (made?.status === 201) {
    // By its id: others give it another name.
    const { Id: id } = made.json as { readonly Id: string };
    const waiting = chaos.call('POST', `/containers/${id}/wait?condition=removed`);
    const started = await chaos.call('POST', `/containers/${id}/start`);
    if (started?.status !== 204) await remove(client, id);
    await waiting;
  } else {
    await remove(client, name);
  }
  await chaos.call('DELETE', `/networks/${name}`);
};

/** Pulls networks and containers away from under others. */
const meddler: Life = async ({ chaos, other, network }) => {
  await chaos.call('GET', '/networks');
  await chaos.call('POST', `/networks/${network}/disconnect`, { Container: other, Force: true });
  await chaos.call('DELETE', `/networks/${network}`);
  await chaos.call('POST', `/networks/${network}/connect`, { Container: other });
  await chaos.call('POST', `/containers/${other}/rename?name=${other}-moved`);
  await chaos.call('POST', `/containers/${other}-moved/rename?name=${other}`);
  if (chaos.chance(0.3)) await chaos.call('DELETE', `/containers/${other}?force=1`);
  if (chaos.chance(0.3)) await chaos.call('POST', '/networks/prune');
};

const LIVES: readonly Life[] = [owner, guest, wanderer, meddler];
