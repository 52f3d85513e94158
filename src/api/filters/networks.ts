/** `filters` of `GET /networks`. */
import { InternalError, InvalidArgumentError } from '../../base/errors.ts';
import type { NetworkView } from '../../engine/index.ts';
import { isPredefinedNetwork } from '../wire/namespaces.ts';
import { patternMatcher, type Filters } from './filters.ts';

export const NETWORK_FILTERS: readonly string[] = ['dangling', 'driver', 'id', 'label', 'name', 'scope', 'type'];

/** The networks that all filters let through. Errors as dockerd's for values that mean nothing. */
export function selectNetworks(networks: readonly NetworkView[], filters: Filters): readonly NetworkView[] {
  const names = filters.get('name').map(patternMatcher);
  const ids = filters.get('id').map(patternMatcher);
  const dangling = danglingOf(filters);
  const types = filters.get('type').map(typeOf);
  return networks.filter(
    (network) =>
      filters.any('driver', (wish) => network.driver === wish) &&
      (names.length === 0 || names.some((isMeant) => isMeant(network.name))) &&
      (ids.length === 0 || ids.some((isMeant) => isMeant(network.id))) &&
      filters.matchLabels(network.labels) &&
      filters.any('scope', (wish) => wish === 'local') &&
      (types.length === 0 || types.includes(isPredefinedNetwork(network.name))) &&
      (dangling === null || dangling === isDangling(network)),
  );
}

function isDangling({ name, endpoints }: NetworkView): boolean {
  return !isPredefinedNetwork(name) && endpoints.length === 0;
}

function danglingOf(filters: Filters): boolean | null {
  const [value, ...more] = filters.get('dangling');
  if (more.length > 0) throw new InvalidArgumentError('got more than one value for filter key "dangling"');
  switch (value) {
    case undefined:
      return null;
    case '0':
    case 'false':
      return false;
    case '1':
    case 'true':
      return true;
    default:
      throw new InvalidArgumentError(
        'invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")',
      );
  }
}

/** True for `builtin`; dockerd calls another word its own fault. */
function typeOf(word: string): boolean {
  if (word !== 'builtin' && word !== 'custom') throw new InternalError(`invalid filter: 'type'='${word}'`);
  return word === 'builtin';
}
