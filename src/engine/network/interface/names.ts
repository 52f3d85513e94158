/** What a container's interfaces are called. */
import { InvalidArgumentError } from '../../../base/errors.ts';
import type { NetworkRecord } from '../types.ts';

/** IFNAMSIZ less its NUL, and no letter that the kernel, nft's language or a path in /proc/sys would trip over. */
export const INTERFACE_NAME = /^(?!\.{1,2}$)[A-Za-z0-9_.-]{1,15}$/;

/** Network option: what the interfaces of its endpoints are called, before their number. */
export const INTERFACE_PREFIX_OPTION = 'com.docker.network.container_iface_prefix';
/** Endpoint option: the interface's whole name. */
export const INTERFACE_NAME_OPTION = 'com.docker.network.endpoint.ifname';

const DEFAULT_PREFIX = 'eth';

/**
 * The name of a new interface in a sandbox that has interfaces of the names `taken`: what the endpoint wishes, or its
 * network's prefix with the first number that is free.
 */
export function interfaceName(
  { options }: Pick<NetworkRecord, 'options'>,
  driverOptions: Readonly<Record<string, string>> | undefined,
  taken: ReadonlySet<string>,
): string {
  const wished = driverOptions?.[INTERFACE_NAME_OPTION];
  if (wished !== undefined && wished !== '') {
    checkName(wished);
    if (taken.has(wished))
      throw new InvalidArgumentError(`interface name ${wished} is in use in the container already`);
    return wished;
  }
  const prefix = prefixOf({ options });
  for (let number = 0; ; number += 1) {
    const name = `${prefix}${String(number)}`;
    if (!taken.has(name)) return name;
  }
}

/** InvalidArgumentError when no interface could be called by the network's prefix. */
export function prefixOf({ options }: Pick<NetworkRecord, 'options'>): string {
  const given = options[INTERFACE_PREFIX_OPTION] ?? '';
  const prefix = given === '' ? DEFAULT_PREFIX : given;
  checkName(`${prefix}0`);
  return prefix;
}

function checkName(name: string): void {
  if (!INTERFACE_NAME.test(name)) throw new InvalidArgumentError(`invalid interface name: ${name}`);
}
