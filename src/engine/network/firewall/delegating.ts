import type { Family } from '../ipam/ip.ts';
import type { FirewallDriver, FirewallState } from '../driver.ts';

/** A packet filter that leaves everything to another one; who extends it adds something around some calls. */
export class DelegatingFirewall implements FirewallDriver {
  protected readonly own: FirewallDriver;

  constructor(own: FirewallDriver) {
    this.own = own;
  }

  get name(): string {
    return this.own.name;
  }

  get active(): boolean {
    return this.own.active;
  }

  get families(): readonly Family[] {
    return this.own.families ?? ['ipv4', 'ipv6'];
  }

  get secludesPorts(): boolean {
    return this.own.secludesPorts ?? false;
  }

  get respectsInput(): boolean {
    return this.own.respectsInput ?? false;
  }

  async initialise(state: FirewallState): Promise<void> {
    await this.own.initialise(state);
  }

  async addNetwork(...given: Parameters<FirewallDriver['addNetwork']>): Promise<void> {
    await this.own.addNetwork(...given);
  }

  async removeNetwork(...given: Parameters<FirewallDriver['removeNetwork']>): Promise<void> {
    await this.own.removeNetwork(...given);
  }

  async link(...given: Parameters<NonNullable<FirewallDriver['link']>>): Promise<void> {
    await this.own.link?.(...given);
  }

  async publish(...given: Parameters<FirewallDriver['publish']>): Promise<void> {
    await this.own.publish(...given);
  }

  async unpublish(...given: Parameters<FirewallDriver['unpublish']>): Promise<void> {
    await this.own.unpublish(...given);
  }

  async reassert(): Promise<void> {
    await this.own.reassert();
  }

  async closeForwarding(families: readonly Family[]): Promise<void> {
    await this.own.closeForwarding?.(families);
  }

  async tearDown(): Promise<void> {
    await this.own.tearDown();
  }
}
