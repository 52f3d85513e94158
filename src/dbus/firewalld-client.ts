/**
 * What the engine asks of firewalld: zones for its bridges, and to be told when all rules have been made anew.
 *
 * The zone `docker` and the policy `docker-forwarding` are those that dockerd makes, so that either engine finds what the
 * other has left: whatever comes from or goes to a bridge is let through by firewalld, and judged by the engine's own rules.
 *
 * firewalld is never started by a call. Nobody waits for it longer than {@link CALL_TIMEOUT_MS} a call; once it has not
 * answered, it is not asked again for {@link STUCK_PAUSE_MS}.
 */
import type { Clock, Timestamp } from '../base/clock.ts';
import { messageOf, NotFoundError, UnavailableError } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { BUS_NAME, type OutgoingCall } from './bus/connection.ts';
import { BusError } from './bus/errors.ts';
import { variant } from './bus/exported.ts';
import type { MatchRule } from './bus/match-rule.ts';

/** The connection that calls go over, as far as this client needs it; see connection.ts. */
export interface FirewalldConnection {
  readonly isOpen: boolean;
  call(call: OutgoingCall): Promise<readonly unknown[]>;
  callBus(member: string, signature: string, body: readonly unknown[]): Promise<readonly unknown[]>;
  match(rule: MatchRule, listener: (message: { readonly body: readonly unknown[] }) => void): Promise<AsyncDisposable>;
  close(): void;
}

export interface FirewalldClientOptions {
  /** `onClosed` is called when the connection has ended without our doing. */
  readonly connect: (onClosed: () => void) => Promise<FirewalldConnection>;
  readonly clock: Clock;
  readonly logger: Logger;
}

const FIREWALLD = 'org.fedoraproject.FirewallD1';
const PATH = '/org/fedoraproject/FirewallD1';
const CONFIG_PATH = `${PATH}/config`;
export const DOCKER_ZONE = 'docker';
const DOCKER_POLICY = 'docker-forwarding';

/** firewalld answers within milliseconds, unless it is reading all of its rules in. */
export const CALL_TIMEOUT_MS = 3_000;
/** A reload reads and writes everything: seconds on a host with thousands of rules. */
const RELOAD_TIMEOUT_MS = 10_000;
const STUCK_PAUSE_MS = 30_000;
/** The bus is there, or not, at once. */
const CONNECT_TIMEOUT_MS = 2_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 60_000;

export class FirewalldClient implements Disposable {
  readonly #options: FirewalldClientOptions;
  readonly #listeners = new Set<() => void>();
  #connection: Promise<FirewalldConnection> | null = null;
  #isRunning = false;
  #reloadedAt: Timestamp | null = null;
  /** By the link that was to be put into it. */
  readonly #missingZones = new Map<string, string>();
  #stuckUntilMs = 0;
  #retryMs = FIRST_RETRY_MS;
  #retry: Disposable | null = null;
  #isDisposed = false;

  constructor(options: FirewalldClientOptions) {
    this.#options = options;
  }

  /** What is known without asking: as of the last signal. */
  get presence(): {
    readonly isRunning: boolean;
    readonly reloadedAt: Timestamp | null;
    readonly missingZones: readonly string[];
  } {
    const missingZones = this.#isRunning ? [...new Set(this.#missingZones.values())] : [];
    return { isRunning: this.#isRunning, reloadedAt: this.#reloadedAt, missingZones };
  }

  /** Whether firewalld has its name on the bus, and is not known to be stuck. Never throws. */
  async isRunning(): Promise<boolean> {
    try {
      await this.#open();
    } catch {
      return false;
    }
    return this.#isRunning;
  }

  /** Calls `listener` after each reload, when firewalld has come or gone, and when the bus is back after it was away. */
  onReloaded(listener: () => void): Disposable {
    this.#listeners.add(listener);
    void this.isRunning();
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Puts a link into a zone; null: the zone `docker`, made if there is none. NotFoundError for a zone that is not there. */
  async addInterface(interfaceName: string, zone: string | null): Promise<void> {
    try {
      await inEngineErrors(async () => {
        if (zone === null) await this.#ensureDockerZone();
        await this.#zone('changeZoneOfInterface', 'ss', [zone ?? DOCKER_ZONE, interfaceName]);
      });
      this.#missingZones.delete(interfaceName);
    } catch (error) {
      if (error instanceof NotFoundError) this.#missingZones.set(interfaceName, zone ?? DOCKER_ZONE);
      throw error;
    }
  }

  /** Takes a link out of whichever zone it is in. */
  async removeInterface(interfaceName: string): Promise<void> {
    this.#missingZones.delete(interfaceName);
    const zone = await this.zoneOf(interfaceName);
    if (zone !== null) await inEngineErrors(() => this.#zone('removeInterface', 'ss', [zone, interfaceName]));
  }

  async zoneOf(interfaceName: string): Promise<string | null> {
    if (!(await this.isRunning())) return null;
    const [zone] = await inEngineErrors(() => this.#zone('getZoneOfInterface', 's', [interfaceName]));
    return typeof zone === 'string' && zone !== '' ? zone : null;
  }

  async #ensureDockerZone(): Promise<void> {
    const [zones] = await this.#zone('getZones', '', []);
    const hasZone = (zones as readonly string[]).includes(DOCKER_ZONE);
    if (!hasZone) await this.#configure('addZone2', DOCKER_ZONE, ZONE);
    const hasPolicy = await this.#hasPolicy();
    if (!hasPolicy) await this.#configure('addPolicy', DOCKER_POLICY, POLICY);
    // What is only in the files does nothing yet.
    if (!hasZone || !hasPolicy)
      await this.#ask({ member: 'reload', interface: FIREWALLD, timeoutMs: RELOAD_TIMEOUT_MS });
  }

  /** True also where firewalld is older than policies (0.9): there the zone's target alone does it. */
  async #hasPolicy(): Promise<boolean> {
    try {
      const [policies] = await this.#ask({ member: 'getPolicies', interface: `${FIREWALLD}.policy` });
      return (policies as readonly string[]).includes(DOCKER_POLICY);
    } catch (error) {
      if (error instanceof BusError && error.busName === 'org.freedesktop.DBus.Error.UnknownMethod') return true;
      throw error;
    }
  }

  async #configure(
    member: 'addZone2' | 'addPolicy',
    name: string,
    settings: Readonly<Record<string, unknown>>,
  ): Promise<void> {
    const body = [name, settings];
    try {
      await this.#ask({ path: CONFIG_PATH, interface: `${FIREWALLD}.config`, member, signature: 'sa{sv}', body });
    } catch (error) {
      // It is in the files already, from an earlier dockerd or moored, and was not read yet.
      if (!(error instanceof BusError) || !error.message.startsWith('NAME_CONFLICT')) throw error;
    }
  }

  #zone(member: string, signature: string, body: readonly unknown[]): Promise<readonly unknown[]> {
    return this.#ask({ interface: `${FIREWALLD}.zone`, member, signature, body });
  }

  async #ask(
    call: Omit<OutgoingCall, 'destination' | 'path'> & { readonly path?: string },
  ): Promise<readonly unknown[]> {
    const connection = await this.#open();
    try {
      return await connection.call({
        path: PATH,
        timeoutMs: CALL_TIMEOUT_MS,
        ...call,
        destination: FIREWALLD,
        autoStart: false,
      });
    } catch (error) {
      if (error instanceof BusError && error.busName === 'org.freedesktop.DBus.Error.Timeout') {
        this.#pause();
      }
      throw error;
    }
  }

  #pause(): void {
    this.#stuckUntilMs = this.#options.clock.monotonicMs() + STUCK_PAUSE_MS;
  }

  async #open(): Promise<FirewalldConnection> {
    const { clock } = this.#options;
    if (this.#isDisposed) throw new UnavailableError('the engine is ending');
    if (clock.monotonicMs() < this.#stuckUntilMs) throw new UnavailableError('firewalld does not answer');
    this.#connection ??= this.#connectAndListen();
    const opening = this.#connection;
    const late = Promise.withResolvers<never>();
    using _timer = clock.after(CONNECT_TIMEOUT_MS, () => {
      this.#pause();
      late.reject(new UnavailableError('the bus does not answer'));
    });
    return await Promise.race([opening, late.promise]);
  }

  async #connectAndListen(): Promise<FirewalldConnection> {
    try {
      const connection = await this.#options.connect(() => this.#lost());
      await connection.match({ sender: FIREWALLD, path: PATH, interface: FIREWALLD, member: 'Reloaded' }, () => {
        this.#reloadedAt = this.#options.clock.now();
        this.#tell();
      });
      await connection.match(
        { sender: BUS_NAME, interface: BUS_NAME, member: 'NameOwnerChanged', arg0: FIREWALLD },
        ({ body }) => this.#owned(body[2] !== ''),
      );
      const [isOwned] = await connection.callBus('NameHasOwner', 's', [FIREWALLD]);
      this.#retryMs = FIRST_RETRY_MS;
      this.#isRunning = isOwned === true;
      return connection;
    } catch (error) {
      this.#lost();
      throw error;
    }
  }

  #owned(isOwned: boolean): void {
    this.#isRunning = isOwned;
    this.#stuckUntilMs = 0;
    // With its end it has flushed what it could, the host's iptables among it.
    if (!isOwned) this.#tell();
    // It takes its name first, and throws away what is there afterwards: its first answer comes when it is through.
    else void this.#firstAnswer().finally(() => this.#tell());
  }

  async #firstAnswer(): Promise<void> {
    try {
      await this.#ask({ interface: FIREWALLD, member: 'getDefaultZone', timeoutMs: RELOAD_TIMEOUT_MS });
    } catch {
      // Then it is said by whoever asks it next.
    }
  }

  /** The bus is away, or was: what firewalld did meanwhile nobody has told us. */
  #lost(): void {
    this.#connection = null;
    this.#isRunning = false;
    if (this.#isDisposed || this.#listeners.size === 0 || this.#retry !== null) return;
    this.#retry = this.#options.clock.after(this.#retryMs, () => {
      this.#retry = null;
      void this.isRunning().then((isRunning) => {
        if (isRunning) this.#tell();
      });
    });
    this.#retryMs = Math.min(2 * this.#retryMs, LAST_RETRY_MS);
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener();
      } catch (error) {
        this.#options.logger.error('a listener to firewalld has failed', { reason: messageOf(error) });
      }
    }
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#listeners.clear();
    this.#retry?.[Symbol.dispose]();
    void this.#connection?.then(
      (connection) => connection.close(),
      () => undefined,
    );
    this.#connection = null;
  }
}

async function inEngineErrors<T>(job: () => Promise<T>): Promise<T> {
  try {
    return await job();
  } catch (error) {
    if (!(error instanceof BusError)) throw error;
    // firewalld's own errors are one D-Bus error whose text begins with a word of theirs.
    if (error.message.startsWith('INVALID_ZONE')) {
      throw new NotFoundError(`firewalld: ${error.message.replace('INVALID_ZONE:', 'there is no zone')}`, {
        cause: error,
      });
    }
    throw new UnavailableError(`firewalld: ${error.message}`, { cause: error });
  }
}

const ZONE = {
  version: variant('s', '1.0'),
  short: variant('s', DOCKER_ZONE),
  description: variant('s', 'zone for docker bridge network interfaces'),
  target: variant('s', 'ACCEPT'),
};

const POLICY = {
  version: variant('s', '1.0'),
  short: variant('s', DOCKER_POLICY),
  description: variant('s', 'allow forwarding to the docker zone'),
  ingress_zones: variant('as', ['ANY']),
  egress_zones: variant('as', [DOCKER_ZONE]),
  target: variant('s', 'ACCEPT'),
};
