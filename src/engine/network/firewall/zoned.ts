import { messageOf, NotFoundError } from '../../../base/errors.ts';
import type { Logger } from '../../../base/logger.ts';
import type { FirewallDriver, FirewallNetwork, FirewallState } from '../driver.ts';
import type { HostFirewall } from '../host-firewall.ts';
import { DelegatingFirewall } from './delegating.ts';

/**
 * A packet filter whose bridges are also given to zones of the host's firewall manager. Our rules come first and stand
 * whatever becomes of the zones: a manager that is away or stuck costs a warning, and is told when it is back (its coming
 * leads to `reassert`). Only a new network that names a zone which does not exist is refused.
 */
export class ZonedFirewall extends DelegatingFirewall {
  readonly #host: HostFirewall;
  readonly #logger: Logger;
  readonly #zones = new Map<string, string | null>();

  constructor(own: FirewallDriver, host: HostFirewall, logger: Logger) {
    super(own);
    this.#host = host;
    this.#logger = logger;
  }

  override async initialise(state: FirewallState): Promise<void> {
    await this.own.initialise(state);
    this.#zones.clear();
    for (const { bridgeName, zone } of state.networks) this.#zones.set(bridgeName, zone ?? null);
    await this.#assertZones();
  }

  override async addNetwork(network: FirewallNetwork): Promise<void> {
    const { bridgeName, zone = null } = network;
    const isKnown = this.#zones.get(bridgeName) === zone;
    await this.own.addNetwork(network);
    this.#zones.set(bridgeName, zone);
    if (isKnown) return;
    try {
      if (await this.#host.isRunning()) await this.#host.addInterface(bridgeName, zone);
    } catch (error) {
      if (zone === null || !(error instanceof NotFoundError)) {
        this.#warn(bridgeName, error);
        return;
      }
      this.#zones.delete(bridgeName);
      await this.own.removeNetwork(bridgeName);
      throw error;
    }
  }

  override async removeNetwork(bridgeName: string): Promise<void> {
    this.#zones.delete(bridgeName);
    await this.own.removeNetwork(bridgeName);
    await this.#release(bridgeName);
  }

  override async reassert(): Promise<void> {
    await this.own.reassert();
    await this.#assertZones();
  }

  /** The manager's zone and policy stay: they may be another engine's as well. */
  override async tearDown(): Promise<void> {
    await this.own.tearDown();
    for (const bridgeName of this.#zones.keys()) await this.#release(bridgeName);
    this.#zones.clear();
  }

  async #assertZones(): Promise<void> {
    if (this.#zones.size === 0 || !(await this.#host.isRunning())) return;
    for (const [bridgeName, zone] of this.#zones) {
      try {
        await this.#host.addInterface(bridgeName, zone);
      } catch (error) {
        this.#warn(bridgeName, error);
      }
    }
  }

  async #release(bridgeName: string): Promise<void> {
    try {
      if (await this.#host.isRunning()) await this.#host.removeInterface(bridgeName);
    } catch (error) {
      this.#warn(bridgeName, error);
    }
  }

  #warn(bridgeName: string, error: unknown): void {
    this.#logger.warn(`firewalld may drop what goes through ${bridgeName}: ${messageOf(error)}`, {
      bridge: bridgeName,
    });
  }
}
