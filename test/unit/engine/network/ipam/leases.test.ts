import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { Timestamp } from '../../../../../src/base/clock.ts';
import type { ContainerId, NetworkId } from '../../../../../src/base/ids.ts';
import { newId } from '../../../../../src/base/ids.ts';
import { containsAddress, parseAddress } from '../../../../../src/engine/network/ipam/ip.ts';
import { AddressLeases } from '../../../../../src/engine/network/ipam/leases.ts';
import { blockOf, reservedOf } from '../../../../../src/engine/network/ipam/pool.ts';
import type { IpamPool, NetworkRecord } from '../../../../../src/engine/network/types.ts';
import { Database } from '../../../../../src/engine/state/database.ts';
import { NetworkRepository } from '../../../../../src/engine/state/networks.ts';

const databases: Database[] = [];

function setUp(...given: readonly Partial<IpamPool>[]) {
  const database = Database.open(':memory:');
  databases.push(database);
  const repository = new NetworkRepository(database);
  const network = addNetwork(repository, 'bridge', ...given);
  const networks = [network];
  return { repository, network, networks, leases: new AddressLeases(repository, () => networks) };
}

function addNetwork(repository: NetworkRepository, name: string, ...given: readonly Partial<IpamPool>[]) {
  const id = newId<NetworkId>();
  repository.save({ id, name, createdAt: 1n as Timestamp, document: '{}' });
  const plain = { subnet: '10.0.0.0/29', gateway: '10.0.0.1', ipRange: null, auxAddresses: {} };
  const pools = (given.length === 0 ? [{}] : given).map((pool) => ({ ...plain, ...pool }));
  return { id, name, pools } as unknown as NetworkRecord;
}

afterEach(() => {
  for (const database of databases.splice(0)) database[Symbol.dispose]();
});

const someone = () => newId<ContainerId>();
const lease = ({ leases, network }: ReturnType<typeof setUp>, wished: string | null = null) =>
  leases.lease(network, someone(), wished?.includes(':') === true ? 'ipv6' : 'ipv4', wished)?.address;

describe('leases', () => {
  it('give the lowest free address, and one given back at once again, as dockerd does', () => {
    const book = setUp();
    expect(lease(book)).toBe('10.0.0.2');
    expect(lease(book)).toBe('10.0.0.3');
    book.leases.release(book.network.id, '10.0.0.2');
    book.leases.release(book.network.id, '10.0.0.2');
    expect(lease(book)).toBe('10.0.0.2');
  });

  it('never give network, broadcast, gateway or auxiliary addresses, and end in words of dockerd', () => {
    const book = setUp({ auxAddresses: { router: '10.0.0.3' } });
    expect([1, 2, 3, 4].map(() => lease(book))).toEqual(['10.0.0.2', '10.0.0.4', '10.0.0.5', '10.0.0.6']);
    expect(() => lease(book)).toThrow(
      `no available IPv4 addresses on this network's address pools: bridge (${book.network.id})`,
    );
  });

  it('stay in the range of --fixed-cidr and --ip-range, but wished ones need not', () => {
    const book = setUp({ subnet: '10.0.0.0/16', ipRange: '10.0.5.0/30' });
    expect([1, 2, 3, 4].map(() => lease(book))).toEqual(['10.0.5.0', '10.0.5.1', '10.0.5.2', '10.0.5.3']);
    expect(() => lease(book)).toThrow('no available IPv4 addresses');
    expect(lease(book, '10.0.9.9')).toBe('10.0.9.9');
  });

  it('go on in the next pool', () => {
    const book = setUp({ subnet: '10.0.0.0/30' }, { subnet: '10.0.1.0/30', gateway: '10.0.1.1' });
    expect([lease(book), lease(book)]).toEqual(['10.0.0.2', '10.0.1.2']);
  });

  it('use a /31 whole', () => {
    expect(lease(setUp({ subnet: '10.0.0.0/31', gateway: '10.0.0.0' }))).toBe('10.0.0.1');
  });

  it('give IPv6 addresses, the first of a block being its routers’', () => {
    const book = setUp({ subnet: 'fd00::/64', gateway: 'fd00::1' });
    const next = () => book.leases.lease(book.network, someone(), 'ipv6', null);
    expect(next()).toEqual({ address: 'fd00::2', pool: book.network.pools[0] });
    expect(lease(book, 'FD00:0::3')).toBe('fd00::3');
    expect(next()?.address).toBe('fd00::4');
    expect(lease(book)).toBe(undefined);
    expect(lease(book, 'fd00::ffff:ffff:ffff:ffff')).toBe('fd00::ffff:ffff:ffff:ffff');
    expect(() => lease(book, 'fd00::')).toThrow('Address already in use');
  });

  it('give nothing where another manages addresses', () => {
    expect(lease(setUp({ subnet: '0.0.0.0/0', gateway: null }))).toBe(undefined);
  });

  it('give a wished address once', () => {
    const book = setUp();
    expect(lease(book, '10.0.0.5')).toBe('10.0.0.5');
    expect(() => lease(book, '10.0.0.5')).toThrow('Address already in use');
    expect(() => lease(book, '10.0.0.1')).toThrow('Address already in use');
    expect(() => lease(book, '10.0.1.5')).toThrow(
      "invalid address 10.0.1.5: It does not belong to any of this network's subnets",
    );
    expect(() => lease(book, 'x')).toThrow('invalid IPv4 address: x');
  });

  it('are shared by networks that share a subnet by ranges', () => {
    const book = setUp({ ipRange: '10.0.0.0/30' });
    const other = addNetwork(book.repository, 'other', { ipRange: '10.0.0.4/30', gateway: null });
    book.networks.push(other);
    book.leases.networkChanged(other);
    expect(book.leases.lease(other, someone(), 'ipv4', '10.0.0.2')?.address).toBe('10.0.0.2');
    expect(lease(book)).toBe('10.0.0.3');
    expect(() => book.leases.lease(other, someone(), 'ipv4', '10.0.0.1')).toThrow('Address already in use');
    book.networks.pop();
    book.repository.remove(other.id);
    book.leases.networkChanged(other);
    expect(lease(book)).toBe('10.0.0.2');
  });

  it('are kept in the state file, and after a restart only those of containers that still run', () => {
    const { leases, network, networks, repository } = setUp();
    const [gone, running] = [someone(), someone()];
    leases.lease(network, gone, 'ipv4', null);
    const address = leases.lease(network, running, 'ipv4', null)!.address;
    expect(repository.leases()).toHaveLength(2);

    const next = new AddressLeases(repository, () => networks);
    const kept = { networkId: network.id, address, containerId: running };
    next.restore([kept]);
    expect(repository.leases()).toEqual([kept]);
    expect(next.lease(network, someone(), 'ipv4', null)?.address).toBe('10.0.0.2');
    expect(next.lease(network, someone(), 'ipv4', null)?.address).toBe('10.0.0.4');
  });

  it('never give one address twice, nor a reserved one, and give all of them before they end', () => {
    const deed = fc.record({ gives: fc.boolean(), which: fc.nat(40), wished: fc.option(fc.nat(31), { freq: 3 }) });
    const place = fc.constantFrom('10.9.0.', 'fd00:9::');
    fc.assert(
      fc.property(place, fc.array(deed, { maxLength: 60 }), fc.nat(31), (prefix, deeds, auxiliary) => {
        const family = prefix.includes(':') ? 'ipv6' : 'ipv4';
        const at = (number: number) => `${prefix}${number.toString(family === 'ipv6' ? 16 : 10)}`;
        const subnet = `${prefix}${family === 'ipv6' ? '/123' : '0/27'}`;
        const { leases, network, networks, repository } = setUp({
          subnet,
          gateway: at(1),
          auxAddresses: { one: at(auxiliary) },
        });
        const reserved = new Set(reservedOf(network.pools[0]!));
        const size = 32 - reserved.size;
        const held = new Map<string, ContainerId>();
        for (const { gives, which, wished } of deeds) {
          const released = [...held.keys()][which % Math.max(held.size, 1)];
          if (!gives && released !== undefined) {
            leases.release(network.id, released);
            held.delete(released);
            continue;
          }
          const id = someone();
          const text = wished === null ? null : at(wished);
          const isFree = text === null ? held.size < size : !held.has(text) && !reserved.has(parseAddress(text)!.value);
          if (!isFree) {
            expect(() => leases.lease(network, id, family, text)).toThrow();
            continue;
          }
          const { address } = leases.lease(network, id, family, text)!;
          const parsed = parseAddress(address)!;
          expect(held.has(address)).toBe(false);
          expect(reserved.has(parsed.value)).toBe(false);
          expect(containsAddress(blockOf(subnet), parsed)).toBe(true);
          held.set(address, id);
        }
        const rows = [...held].map(([address, containerId]) => ({ networkId: network.id, address, containerId }));
        const byAddress = (a: { address: string }, b: { address: string }) => (a.address < b.address ? -1 : 1);
        expect([...repository.leases()].sort(byAddress)).toEqual(rows.sort(byAddress));
        // The next run knows the same.
        const next = new AddressLeases(repository, () => networks);
        next.restore(rows);
        for (let left = size - held.size; left > 0; left -= 1) {
          const address = next.lease(network, someone(), family, null)!.address;
          expect(held.has(address)).toBe(false);
          held.set(address, someone());
        }
        expect(() => next.lease(network, someone(), family, null)).toThrow('no available');
      }),
      { numRuns: 60 },
    );
  });
});
