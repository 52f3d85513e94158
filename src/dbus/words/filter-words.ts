import { InvalidArgumentError } from '../../base/errors.ts';
import type { Dictionary } from '../bus/dictionary.ts';
import type { FilterWords } from './rest-words.ts';

/** Filters as they come over the bus, `s`, `as` or `b` each, in Docker's words. */
export function filterWordsOf(dictionary: Dictionary): FilterWords {
  return Object.fromEntries(
    Object.entries(dictionary).map(([name, { signature, value }]) => {
      switch (signature) {
        case 's':
          return [name, [value as string]];
        case 'as':
          return [name, value as readonly string[]];
        case 'b':
          return [name, [String(value)]];
        default:
          throw new InvalidArgumentError(`filter ${JSON.stringify(name)} must be of type 's', 'as' or 'b'`);
      }
    }),
  );
}
