import { InvalidArgumentError } from '../../../base/errors.ts';
import type { DirectoryQuotas } from './types.ts';

/** Where nothing can be limited, and why. */
export class NoQuotas implements DirectoryQuotas {
  readonly obstacle: string;

  constructor(obstacle: string) {
    this.obstacle = obstacle;
  }

  async make(): Promise<void> {
    return Promise.reject(new InvalidArgumentError(this.obstacle));
  }

  async usage(): Promise<null> {
    return Promise.resolve(null);
  }

  async drop(): Promise<void> {
    return Promise.resolve();
  }
}
