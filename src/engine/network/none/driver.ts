import type { NetworkDriver } from '../driver.ts';

/** A namespace with nothing but its loopback link, which every sandbox has. Docker calls the driver `null`. */
export class NoneDriver implements NetworkDriver {
  readonly name = 'null';

  validate(): void {}

  async createNetwork(): Promise<void> {}

  async removeNetwork(): Promise<void> {}

  async connect(): Promise<void> {}

  async disconnect(): Promise<void> {}
}
