/**
 * Connections to registries, kept open for a while: one pool for each host, as it is trusted and through which proxy.
 * A pool is made anew when certificates on the disk have changed; what is under way ends as it began.
 */
import { createSecureContext, type SecureContext } from 'node:tls';
import { Agent, buildConnector, ProxyAgent, type Dispatcher } from 'undici';
import type { Clock } from '../../base/clock.ts';
import { errnoCodeOf } from '../../base/errors.ts';
import type { Certificates, ClientIdentity, HostTrust } from './certificates.ts';
import { proxyFor, type ProxyRules } from './proxies.ts';

/**
 * How the registry that began it is trusted. It counts for all that it names, too: its token server, and the store that
 * it sends a reader on to.
 */
export interface Trust {
  /** Its name below `certs.d`. */
  readonly host: string;
  /** False: certificates are not checked, and a redirect may leave TLS. */
  readonly verifyTls: boolean;
}

interface Pool {
  readonly dispatcher: Dispatcher;
  /** Which of the client certificates it shows. */
  readonly identity: number;
  readonly identityCount: number;
}

/** A pool as it was made for certificates of one version. */
interface Slot {
  readonly version: string;
  readonly pool: Promise<Pool>;
}

/** As dockerd's dialer. */
const CONNECT_TIMEOUT_MS = 30_000;
/** A signed address and the policies of a web page fit in; Node's own 16 KiB do not hold all that are met. */
const MAX_HEADER_BYTES = 64 * 1024;
/** Pools for hosts that were asked last; a registry that redirects to ever new hosts does not fill memory. */
const MAX_POOLS = 32;
const MAX_CONTEXTS = 8;
/** About a millisecond. */
const AUTHORITIES_AT_ONCE = 8;

export class Connections implements AsyncDisposable {
  readonly #certificates: Certificates;
  readonly #proxies: ProxyRules;
  readonly #clock: Clock;
  /** In the order of use, oldest first. */
  readonly #pools = new Map<string, Slot>();
  /** Taken out of use, with something under way still. */
  readonly #retired = new Set<Dispatcher>();
  /** By version of the certificates; most hosts share one. */
  readonly #contexts = new Map<string, Promise<SecureContext>>();
  /** The TLS alert that ended the last connection from a local port. */
  readonly #alerts = new Map<number, Error>();

  /** Faults of connections that had been used before. */
  readonly #keptFaults = new WeakSet<object>();
  #isDisposed = false;

  constructor(certificates: Certificates, proxies: ProxyRules, clock: Clock) {
    this.#clock = clock;
    this.#certificates = certificates;
    this.#proxies = proxies;
  }

  /** The pool for a URL. InvalidArgumentError when `certs.d` is not as it must be. */
  async dispatcherFor(url: URL, trust: Trust): Promise<Dispatcher> {
    return (await this.#poolFor(url, trust, 0)).dispatcher;
  }

  /**
   * A server that wants a client certificate says so only when the first request has been sent (TLS 1.3), and hangs up:
   * undici then tells of the hanging up. This is what the server said; the error itself when it said nothing.
   */
  alertBehind(thrown: unknown): unknown {
    if (errnoCodeOf(thrown) !== 'UND_ERR_SOCKET') return thrown;
    const { socket } = thrown as { readonly socket?: { readonly localPort?: number } | null };
    return this.#alerts.get(socket?.localPort ?? -1) ?? thrown;
  }

  /** True when a connection broke that had served a request before. */
  wasKept(thrown: unknown): boolean {
    if (errnoCodeOf(thrown) !== 'UND_ERR_SOCKET')
      return typeof thrown === 'object' && this.#keptFaults.has(thrown ?? {});
    const { socket } = thrown as { readonly socket?: { readonly bytesRead?: number } | null };
    return (socket?.bytesRead ?? 0) > 0;
  }

  /**
   * After a server refused our client certificate: from now on the next one is shown, after the last the first again.
   * Returns how many there are.
   */
  async showNextIdentity(url: URL, trust: Trust): Promise<number> {
    const { identity, identityCount } = await this.#poolFor(url, trust, 0);
    if (identityCount < 2) return identityCount;
    this.#retire(keyOf(url, trust));
    await this.#poolFor(url, trust, (identity + 1) % identityCount);
    return identityCount;
  }

  get isDisposed(): boolean {
    return this.#isDisposed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    const pools = await Promise.allSettled([...this.#pools.values()].map(async ({ pool }) => pool));
    this.#pools.clear();
    const dispatchers = pools.flatMap((pool) => (pool.status === 'fulfilled' ? [pool.value.dispatcher] : []));
    for (const dispatcher of [...dispatchers, ...this.#retired]) await dispatcher.destroy();
  }

  async #poolFor(url: URL, trust: Trust, identity: number): Promise<Pool> {
    const hosts = [trust.host, url.host];
    const version = url.protocol === 'https:' ? await this.#certificates.versionOf(hosts) : '';
    // From here on in one go: two who come at once share one pool.
    const key = keyOf(url, trust);
    const known = this.#pools.get(key);
    if (known?.version === version) {
      this.#pools.delete(key);
      this.#pools.set(key, known);
      return await known.pool;
    }
    this.#retire(key);
    const slot = { version, pool: this.#make(url, trust, version, identity) };
    this.#pools.set(key, slot);
    slot.pool.catch(() => {
      if (this.#pools.get(key) === slot) this.#pools.delete(key);
    });
    const [oldest] = this.#pools.keys();
    if (this.#pools.size > MAX_POOLS && oldest !== undefined) this.#retire(oldest);
    return await slot.pool;
  }

  async #make(url: URL, { host, verifyTls }: Trust, version: string, identity: number): Promise<Pool> {
    const found: HostTrust =
      url.protocol === 'https:' ? await this.#certificates.read([host, url.host]) : { authorities: [], identities: [] };
    // Who is not checked needs nobody to vouch for him.
    const trusted = verifyTls ? found : { ...found, authorities: [] };
    const key = [version, identity, verifyTls].join(' ');
    const secureContext = await this.#contextFor(key, trusted, identity);
    const tls = { rejectUnauthorized: verifyTls, timeout: CONNECT_TIMEOUT_MS, secureContext };
    const proxy = proxyFor(url, this.#proxies);
    const dispatcher =
      proxy === null
        ? new Agent({ allowH2: false, maxHeaderSize: MAX_HEADER_BYTES, connect: this.#connector(tls) })
        : new ProxyAgent({
            uri: proxy.href,
            allowH2: false,
            maxHeaderSize: MAX_HEADER_BYTES,
            requestTls: tls,
            ...(proxy.protocol === 'https:'
              ? { proxyTls: { secureContext: await this.#contextFor(`${version} proxy`, found, -1) } }
              : {}),
            connectTimeout: CONNECT_TIMEOUT_MS,
          });
    return { dispatcher, identity, identityCount: found.identities.length };
  }

  /** undici's own, with an ear for what it says over: see {@link alertBehind}. */
  #connector(tls: buildConnector.BuildOptions): buildConnector.connector {
    const connect = buildConnector({ ...tls, allowH2: false });
    return (options, callback) =>
      connect(options, (...result) => {
        const [, socket] = result;
        const port = socket?.localPort;
        if (port !== undefined) {
          this.#alerts.delete(port);
          socket?.once('error', (fault: Error) => {
            if (errnoCodeOf(fault)?.startsWith('ERR_SSL_') === true) this.#alerts.set(port, fault);
            else if (socket.bytesRead > 0) this.#keptFaults.add(fault);
          });
        }
        callback(...result);
      });
  }

  async #contextFor(key: string, { authorities, identities }: HostTrust, identity: number): Promise<SecureContext> {
    const known = this.#contexts.get(key);
    if (known !== undefined) return await known;
    const context = contextOf(this.#clock, authorities, identities[identity]);
    if (this.#contexts.size >= MAX_CONTEXTS) this.#contexts.clear();
    this.#contexts.set(key, context);
    context.catch(() => this.#contexts.delete(key));
    return await context;
  }

  /** Closes a pool as soon as nothing is under way in it. */
  #retire(key: string): void {
    const slot = this.#pools.get(key);
    this.#pools.delete(key);
    slot?.pool
      .then(async ({ dispatcher }) => {
        this.#retired.add(dispatcher);
        await dispatcher.close();
        this.#retired.delete(dispatcher);
      })
      .catch(() => undefined);
  }
}

/** The system's bundle takes 10 to 30 ms to read: other things are done between its parts. */
async function contextOf(
  clock: Clock,
  authorities: readonly string[],
  identity: ClientIdentity | undefined,
): Promise<SecureContext> {
  const first = authorities.slice(0, AUTHORITIES_AT_ONCE);
  const secureContext = createSecureContext({ ca: first, ...identity });
  const { context } = secureContext as { readonly context: { addCACert(pem: string): void } };
  for (let next = first.length; next < authorities.length; next += AUTHORITIES_AT_ONCE) {
    await clock.sleep(0);
    for (const pem of authorities.slice(next, next + AUTHORITIES_AT_ONCE)) context.addCACert(pem);
  }
  return secureContext;
}

function keyOf(url: URL, trust: Trust): string {
  return `${url.origin} ${trust.host} ${String(trust.verifyTls)}`;
}
