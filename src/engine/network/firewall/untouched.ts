import type { FirewallDriver } from '../driver.ts';

/** `--iptables=false`: the administrator's own rules are all there is. Published ports need a rule of theirs. */
export class UntouchedFirewall implements FirewallDriver {
  readonly name = 'none';
  readonly active = false;

  async initialise(): Promise<void> {}

  async addNetwork(): Promise<void> {}

  async removeNetwork(): Promise<void> {}

  async publish(): Promise<void> {}

  async unpublish(): Promise<void> {}

  async reassert(): Promise<void> {}

  async tearDown(): Promise<void> {}
}
