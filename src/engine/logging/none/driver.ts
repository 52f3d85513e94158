import { InvalidArgumentError } from '../../../base/errors.ts';
import type { LogDriver } from '../driver.ts';

/** Keeps nothing; `docker logs` says so. */
export const noneLogDriver: LogDriver = {
  name: 'none',
  validate: (options) => {
    const [name] = Object.keys(options);
    if (name !== undefined) throw new InvalidArgumentError(`unknown log opt '${name}' for none log driver`);
  },
  open: () => null,
};
