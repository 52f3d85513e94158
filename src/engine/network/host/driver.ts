import type { NetworkDriver } from '../driver.ts';

/** The host's own network namespace: there is nothing to set up. */
export class HostDriver implements NetworkDriver {
  readonly name = 'host';

  validate(): void {}

  async createNetwork(): Promise<void> {}

  async removeNetwork(): Promise<void> {}

  async connect(): Promise<void> {}

  async disconnect(): Promise<void> {}
}
