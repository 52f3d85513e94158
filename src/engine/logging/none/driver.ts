import type { LogDriver } from '../driver.ts';

/** Keeps nothing, whatever the options say, as with Docker; `docker logs` says so. */
export const noneLogDriver: LogDriver = {
  name: 'none',
  validate: () => undefined,
  open: () => null,
};
