import { NotImplementedError } from '../base/errors.ts';

/** What a later version will do; said openly. */
export function notSupported(what: string): never {
  throw new NotImplementedError(`${what} is not supported by this version of moored`);
}
