import type { Clock } from '../base/clock.ts';
import { ConflictError, NotFoundError, UnavailableError } from '../base/errors.ts';
import type { OutgoingCall } from './bus/connection.ts';
import { BusError } from './bus/errors.ts';
import { variant } from './bus/exported.ts';

/** The connection that calls go over, as far as this client needs it; see connection.ts. */
export interface SystemdConnection {
  readonly isOpen: boolean;
  call(call: OutgoingCall): Promise<readonly unknown[]>;
  close(): void;
}

/** Where processes shall live. */
export interface ScopeWish {
  readonly name: string;
  readonly description: string;
  readonly pids: readonly number[];
}

const SYSTEMD = 'org.freedesktop.systemd1';
const SYSTEMD_PATH = '/org/freedesktop/systemd1';
const MANAGER = `${SYSTEMD}.Manager`;
const UNIT = `${SYSTEMD}.Unit`;
const SCOPE = `${SYSTEMD}.Scope`;
const PROPERTIES = 'org.freedesktop.DBus.Properties';
/** systemd answers in a millisecond; one that is reloading its units may take seconds. */
const CALL_TIMEOUT_MS = 5_000;
/** A scope is there some milliseconds after the call that asks for it. */
const START_TIMEOUT_MS = 5_000;
const LOOK_INTERVAL_MS = 3;

/** The few things that the engine asks of systemd itself. Connects at the first of them, and anew when the bus has gone. */
export class SystemdClient implements Disposable {
  readonly #connect: () => Promise<SystemdConnection>;
  readonly #clock: Clock;
  #connection: Promise<SystemdConnection> | null = null;

  constructor(options: { readonly connect: () => Promise<SystemdConnection>; readonly clock: Clock }) {
    this.#connect = options.connect;
    this.#clock = options.clock;
  }

  /** Control group of an active unit; null when there is no such unit, or it is not active. */
  async controlGroupOf(unit: string): Promise<string | null> {
    const path = await this.#unitPath(unit);
    if (path === null || (await this.#property(path, UNIT, 'ActiveState')) !== 'active') return null;
    const controlGroup = await this.#property(path, SCOPE, 'ControlGroup');
    return typeof controlGroup === 'string' && controlGroup !== '' ? controlGroup : null;
  }

  /**
   * Makes a transient scope and returns its control group. It is delegated, so that systemd leaves alone what is in
   * it, and no part of the orderly shutdown: monitors end with their containers. ConflictError when the unit exists.
   */
  async startScope({ name, description, pids }: ScopeWish): Promise<string> {
    const properties = [
      ['Description', variant('s', description)],
      ['PIDs', variant('au', pids)],
      ['Delegate', variant('b', true)],
      ['DefaultDependencies', variant('b', false)],
      // A unit that failed would keep its name from the next of its kind.
      ['CollectMode', variant('s', 'inactive-or-failed')],
    ];
    await this.#manager('StartTransientUnit', 'ssa(sv)a(sa(sv))', [name, 'fail', properties, []]);
    const deadlineMs = this.#clock.monotonicMs() + START_TIMEOUT_MS;
    for (;;) {
      const controlGroup = await this.controlGroupOf(name);
      if (controlGroup !== null) return controlGroup;
      if (this.#clock.monotonicMs() > deadlineMs) throw new UnavailableError(`systemd did not start ${name}`);
      await this.#clock.sleep(LOOK_INTERVAL_MS);
    }
  }

  /** Changes a unit's description until the unit ends. NotFoundError when there is no such unit. */
  async describe(unit: string, description: string): Promise<void> {
    await this.#manager('SetUnitProperties', 'sba(sv)', [unit, true, [['Description', variant('s', description)]]]);
  }

  /** Changes limits of a unit until it ends. NotFoundError when there is no such unit. */
  async limit(unit: string, limits: Readonly<Record<string, bigint>>): Promise<void> {
    const properties = Object.entries(limits).map(([name, value]) => [name, variant('t', value)]);
    await this.#manager('SetUnitProperties', 'sba(sv)', [unit, true, properties]);
  }

  /** True while the host goes down, from the first moment of its shutdown or reboot. */
  async isHostEnding(): Promise<boolean> {
    return (await this.#property(SYSTEMD_PATH, MANAGER, 'SystemState')) === 'stopping';
  }

  async #unitPath(unit: string): Promise<string | null> {
    try {
      const [path] = await this.#manager('GetUnit', 's', [unit]);
      return path as string;
    } catch (error) {
      if (error instanceof NotFoundError) return null;
      throw error;
    }
  }

  async #property(path: string, interfaceName: string, name: string): Promise<unknown> {
    try {
      const [value] = await this.#call({
        path,
        interface: PROPERTIES,
        member: 'Get',
        signature: 'ss',
        body: [interfaceName, name],
      });
      return (value as { readonly value: unknown }).value;
    } catch (error) {
      // The unit has ended since it was found.
      if (error instanceof NotFoundError) return null;
      throw error;
    }
  }

  #manager(member: string, signature: string, body: readonly unknown[]): Promise<readonly unknown[]> {
    return this.#call({ path: SYSTEMD_PATH, interface: MANAGER, member, signature, body });
  }

  async #call(call: Omit<OutgoingCall, 'destination'>): Promise<readonly unknown[]> {
    try {
      const connection = await this.#open();
      return await connection.call({ ...call, destination: SYSTEMD, timeoutMs: CALL_TIMEOUT_MS });
    } catch (error) {
      throw engineErrorOf(error);
    }
  }

  async #open(): Promise<SystemdConnection> {
    const known = this.#connection;
    const present = await known?.catch(() => null);
    if (present?.isOpen === true) return present;
    // Another call may have connected while this one looked.
    const newer = this.#connection === known ? null : this.#connection;
    this.#connection = newer ?? this.#connect();
    return this.#connection;
  }

  [Symbol.dispose](): void {
    void this.#connection?.then(
      (connection) => connection.close(),
      () => undefined,
    );
    this.#connection = null;
  }
}

function engineErrorOf(error: unknown): unknown {
  if (!(error instanceof BusError)) return error;
  switch (error.busName) {
    case 'org.freedesktop.systemd1.NoSuchUnit':
    case 'org.freedesktop.DBus.Error.UnknownObject':
    case 'org.freedesktop.DBus.Error.UnknownInterface':
      return new NotFoundError(error.message, { cause: error });
    case 'org.freedesktop.systemd1.UnitExists':
      return new ConflictError(error.message, { cause: error });
    default:
      return new UnavailableError(`systemd: ${error.message}`, { cause: error });
  }
}
