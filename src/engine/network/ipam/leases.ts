import type { ContainerId, NetworkId } from '../../../base/ids.ts';
import { InvalidArgumentError } from '../../../base/errors.ts';
import type { NetworkRepository, StoredLease } from '../../state/networks.ts';
import type { IpamPool, NetworkRecord } from '../types.ts';
import { AddressSet } from './address-set.ts';
import { containsAddress, formatAddress, lastOf, parseAddress } from './ip.ts';
import type { Address, Block, Family } from './ip.ts';
import { addressInUse, familyName, foreignAddress, noFreeAddress } from './messages.ts';
import { blockOf, managedPools, reservedOf } from './pool.ts';

/** An address that was given, and the pool it is of. */
export interface Lease {
  readonly address: string;
  readonly pool: IpamPool;
}

/**
 * Which container has which address. The answer is kept in memory for speed and in the state file for the next run.
 * As in dockerd the lowest free address is given, so that an idle engine's next container is always `.2`.
 */
export class AddressLeases {
  readonly #repository: NetworkRepository;
  readonly #networks: () => readonly NetworkRecord[];
  /** What is taken of each subnet, made when first asked for. Networks that share a subnet share this too. */
  readonly #taken = new Map<string, AddressSet>();

  /** `networks` are all that there are now. */
  constructor(repository: NetworkRepository, networks: () => readonly NetworkRecord[]) {
    this.#repository = repository;
    this.#networks = networks;
  }

  /** Starts over with what is in use now; leases of containers that are gone are dropped from the state file. */
  restore(live: readonly StoredLease[]): void {
    this.#repository.replaceLeases(live);
    this.#taken.clear();
  }

  /** To be called when a network has come or gone: its subnet's reserved addresses are others now. */
  networkChanged({ pools }: Pick<NetworkRecord, 'pools'>): void {
    for (const { subnet } of pools) this.#taken.delete(subnet);
  }

  /**
   * Leases the lowest free address of the first pool that has one, or the wished one; null when the network has no
   * addresses of this family to give. InternalError when none is free, ForbiddenError when the wished one is taken,
   * InvalidArgumentError when it is none of the network's.
   */
  lease(network: NetworkRecord, containerId: ContainerId, family: Family, wished: string | null): Lease | null {
    const pools = managedPools(network, family);
    if (pools.length === 0) return null;
    const { address, pool } =
      wished === null ? this.#lowestFree(network, family, pools) : this.#wished(family, pools, wished);
    const text = formatAddress(address);
    this.#repository.addLease({ networkId: network.id, address: text, containerId });
    this.#takenOf(pool.subnet).add(address.value);
    return { address: text, pool };
  }

  /** The lowest address that nobody has, for a gateway of a network that is not there yet; null when there is none. */
  lowestFree(subnet: string, range: string | null): string | null {
    const free = freeIn(this.#takenOf(subnet), blockOf(range ?? subnet));
    return free === null ? null : formatAddress(free);
  }

  /** Whether nobody has this address of a subnet. */
  isFree(subnet: string, address: Address): boolean {
    return !this.#takenOf(subnet).has(address.value);
  }

  /**
   * Writes down that these are about to be given back; nobody gets them before `release`. After a crash in between, the
   * next run sees by it that something was interrupted.
   */
  announceRelease(leases: readonly StoredLease[]): void {
    for (const { networkId, address } of leases) this.#repository.removeLease(networkId, address);
  }

  /** They are kept after all. */
  revokeRelease(leases: readonly StoredLease[]): void {
    for (const lease of leases) this.#repository.addLease(lease);
  }

  /** What the last run left. */
  stored(): readonly StoredLease[] {
    return this.#repository.leases();
  }

  /** Gives an address back. Idempotent. */
  release(networkId: NetworkId, addressText: string): void {
    this.#repository.removeLease(networkId, addressText);
    const address = parseAddress(addressText);
    const network = this.#networks().find(({ id }) => id === networkId);
    if (address === null || network === undefined) return;
    const pool = managedPools(network, address.family).find((each) => isIn(each, address));
    if (pool !== undefined) this.#taken.get(pool.subnet)?.delete(address.value);
  }

  #lowestFree(
    network: NetworkRecord,
    family: Family,
    pools: readonly IpamPool[],
  ): { readonly address: Address; readonly pool: IpamPool } {
    for (const pool of pools) {
      const address = freeIn(this.#takenOf(pool.subnet), blockOf(pool.ipRange ?? pool.subnet));
      if (address !== null) return { address, pool };
    }
    throw noFreeAddress(family, network.name, network.id);
  }

  #wished(
    family: Family,
    pools: readonly IpamPool[],
    wished: string,
  ): { readonly address: Address; readonly pool: IpamPool } {
    const address = parseAddress(wished);
    if (address?.family !== family) {
      throw new InvalidArgumentError(`invalid ${familyName(family)} address: ${wished}`);
    }
    const pool = pools.find((each) => isIn(each, address));
    if (pool === undefined) throw foreignAddress(wished);
    if (this.#takenOf(pool.subnet).has(address.value)) throw addressInUse();
    return { address, pool };
  }

  #takenOf(subnet: string): AddressSet {
    let taken = this.#taken.get(subnet);
    if (taken === undefined) {
      taken = AddressSet.of(this.#takenNow(subnet));
      this.#taken.set(subnet, taken);
    }
    return taken;
  }

  *#takenNow(subnet: string): Iterable<bigint> {
    const block = blockOf(subnet);
    // Of a network that is not there yet this is all that is known.
    yield* reservedOf({ subnet, gateway: null, ipRange: null, auxAddresses: {} });
    for (const { id, pools } of this.#networks()) {
      const shared = pools.filter((pool) => pool.subnet === subnet);
      if (shared.length === 0) continue;
      for (const pool of shared) yield* reservedOf(pool);
      for (const { address } of this.#repository.leasesOn(id)) {
        const parsed = parseAddress(address);
        if (parsed !== null && containsAddress(block, parsed)) yield parsed.value;
      }
    }
  }
}

function freeIn(taken: AddressSet, range: Block): Address | null {
  const value = taken.lowestFree(range.base, lastOf(range));
  return value === null ? null : { family: range.family, value };
}

function isIn({ subnet }: IpamPool, address: Address): boolean {
  return containsAddress(blockOf(subnet), address);
}
