import type { ContainerId, NetworkId } from '../../base/ids.ts';
import { InvalidArgumentError } from '../../base/errors.ts';
import type { NetworkRepository } from '../state/networks.ts';
import { containsAddress, formatIpv4, lastOf, parseCidr, parseIpv4 } from './ipv4.ts';
import type { Subnet } from './ipv4.ts';
import { addressInUse, noFreeAddress } from './messages.ts';
import type { IpamPool, NetworkRecord } from './types.ts';

/**
 * Which container has which address. The answer is kept in memory for speed and in the state file for the next run.
 * As in dockerd the lowest free address is given, so that an idle engine's next container is always `.2`.
 */
export class AddressLeases {
  readonly #repository: NetworkRepository;
  readonly #taken = new Map<NetworkId, Set<number>>();

  constructor(repository: NetworkRepository) {
    this.#repository = repository;
  }

  /** Starts over with what is in use now; leases of containers that are gone are dropped from the state file. */
  restore(
    live: readonly { readonly networkId: NetworkId; readonly address: string; readonly containerId: ContainerId }[],
  ): void {
    this.#repository.replaceLeases(live);
    this.#taken.clear();
    for (const lease of live) {
      const address = parseIpv4(lease.address);
      if (address !== null) this.#takenOn(lease.networkId).add(address);
    }
  }

  /** Leases the lowest free address, or the wished one. InternalError when none is free, ForbiddenError when the wished one is taken. */
  lease(network: NetworkRecord, containerId: ContainerId, wished: string | null): string {
    const taken = this.#takenOn(network.id);
    const address = wished === null ? firstFree(network, taken) : wishedAddress(network, taken, wished);
    const text = formatIpv4(address);
    this.#repository.addLease({ networkId: network.id, address: text, containerId });
    taken.add(address);
    return text;
  }

  /** Gives an address back. Idempotent. */
  release(networkId: NetworkId, addressText: string): void {
    this.#repository.removeLease(networkId, addressText);
    const address = parseIpv4(addressText);
    if (address !== null) this.#taken.get(networkId)?.delete(address);
  }

  #takenOn(networkId: NetworkId): Set<number> {
    let taken = this.#taken.get(networkId);
    if (taken === undefined) {
      taken = new Set();
      this.#taken.set(networkId, taken);
    }
    return taken;
  }
}

function firstFree(network: NetworkRecord, taken: ReadonlySet<number>): number {
  for (const pool of network.pools) {
    const { range, reserved } = bounds(pool);
    for (let address = range.base; address <= lastOf(range); address += 1) {
      if (!taken.has(address) && !reserved.has(address)) return address;
    }
  }
  throw noFreeAddress(network.name, network.id);
}

function wishedAddress(network: NetworkRecord, taken: ReadonlySet<number>, wished: string): number {
  const address = parseIpv4(wished);
  if (address === null) throw new InvalidArgumentError(`invalid IPv4 address: ${wished}`);
  const pool = network.pools.find(({ subnet }) => containsAddress(blockOf(subnet), address));
  if (pool === undefined) {
    throw new InvalidArgumentError(`no configured subnet or ip-range contain the IP address ${wished}`);
  }
  if (taken.has(address) || bounds(pool).reserved.has(address)) throw addressInUse();
  return address;
}

/** The range to lease from, and what in it is nobody's: network and broadcast address, gateway, auxiliary addresses. */
function bounds(pool: IpamPool): { readonly range: Subnet; readonly reserved: ReadonlySet<number> } {
  const subnet = blockOf(pool.subnet);
  const reserved = new Set<number>();
  // A /31 (RFC 3021) or /32 has neither network nor broadcast address.
  if (subnet.prefixLength < 31) reserved.add(subnet.base).add(lastOf(subnet));
  for (const text of [pool.gateway, ...Object.values(pool.auxAddresses)]) {
    const address = text === null ? null : parseIpv4(text);
    if (address !== null) reserved.add(address);
  }
  return { range: pool.ipRange === null ? subnet : blockOf(pool.ipRange), reserved };
}

function blockOf(cidr: string): Subnet {
  const parsed = parseCidr(cidr);
  if (parsed === null) throw new InvalidArgumentError(`invalid CIDR address: ${cidr}`);
  return parsed.subnet;
}
