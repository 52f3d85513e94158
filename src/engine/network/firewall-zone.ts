import { InvalidArgumentError } from '../../base/errors.ts';
import type { NetworkRecord } from './types.ts';

/** Option (`-o`) or label of a bridge network: the firewalld zone of its bridge, in place of `docker`. */
export const FIREWALL_ZONE = 'org.moored.network.firewalld.zone';

/** What firewalld takes as the name of a zone. */
const ZONE_NAME = /^[A-Za-z0-9_-]{1,17}$/;

/** The zone a network asks for; null: none in particular. The option wins over the label. */
export function firewallZoneOf({ options, labels }: Pick<NetworkRecord, 'options' | 'labels'>): string | null {
  const zone = options[FIREWALL_ZONE] ?? labels[FIREWALL_ZONE] ?? '';
  if (zone === '') return null;
  if (!ZONE_NAME.test(zone)) throw new InvalidArgumentError(`invalid firewalld zone: ${zone}`);
  return zone;
}
