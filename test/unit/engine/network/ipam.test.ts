import { afterEach, describe, expect, it } from 'vitest';
import type { Timestamp } from '../../../../src/base/clock.ts';
import type { ContainerId, NetworkId } from '../../../../src/base/ids.ts';
import { newId } from '../../../../src/base/ids.ts';
import { AddressLeases } from '../../../../src/engine/network/ipam.ts';
import type { IpamPool, NetworkRecord } from '../../../../src/engine/network/types.ts';
import { Database } from '../../../../src/engine/state/database.ts';
import { NetworkRepository } from '../../../../src/engine/state/networks.ts';

const databases: Database[] = [];

function setUp(pool: Partial<IpamPool> = {}) {
  const database = Database.open(':memory:');
  databases.push(database);
  const repository = new NetworkRepository(database);
  const id = newId<NetworkId>();
  repository.save({ id, name: 'bridge', createdAt: 1n as Timestamp, document: '{}' });
  const pools = [{ subnet: '10.0.0.0/29', gateway: '10.0.0.1', ipRange: null, auxAddresses: {}, ...pool }];
  const network = { id, name: 'bridge', pools } as unknown as NetworkRecord;
  return { repository, network, leases: new AddressLeases(repository) };
}

afterEach(() => {
  for (const database of databases.splice(0)) database[Symbol.dispose]();
});

const someone = () => newId<ContainerId>();

describe('leases', () => {
  it('give the lowest free address, and one given back at once again, as dockerd does', () => {
    const { leases, network } = setUp();
    expect(leases.lease(network, someone(), null)).toBe('10.0.0.2');
    expect(leases.lease(network, someone(), null)).toBe('10.0.0.3');
    leases.release(network.id, '10.0.0.2');
    expect(leases.lease(network, someone(), null)).toBe('10.0.0.2');
  });

  it('never give network, broadcast, gateway or auxiliary addresses, and end in words of dockerd', () => {
    const { leases, network } = setUp({ auxAddresses: { router: '10.0.0.3' } });
    const given = [1, 2, 3, 4].map(() => leases.lease(network, someone(), null));
    expect(given).toEqual(['10.0.0.2', '10.0.0.4', '10.0.0.5', '10.0.0.6']);
    expect(() => leases.lease(network, someone(), null)).toThrow(
      `no available IPv4 addresses on this network's address pools: bridge (${network.id})`,
    );
  });

  it('stay in the range of --fixed-cidr', () => {
    const { leases, network } = setUp({ subnet: '10.0.0.0/16', ipRange: '10.0.5.0/30' });
    expect([1, 2, 3, 4].map(() => leases.lease(network, someone(), null))).toEqual([
      '10.0.5.0',
      '10.0.5.1',
      '10.0.5.2',
      '10.0.5.3',
    ]);
    expect(() => leases.lease(network, someone(), null)).toThrow('no available IPv4 addresses');
  });

  it('use a /31 whole', () => {
    const { leases, network } = setUp({ subnet: '10.0.0.0/31', gateway: '10.0.0.0' });
    expect(leases.lease(network, someone(), null)).toBe('10.0.0.1');
  });

  it('give a wished address once', () => {
    const { leases, network } = setUp();
    expect(leases.lease(network, someone(), '10.0.0.5')).toBe('10.0.0.5');
    expect(() => leases.lease(network, someone(), '10.0.0.5')).toThrow('Address already in use');
    expect(() => leases.lease(network, someone(), '10.0.0.1')).toThrow('Address already in use');
    expect(() => leases.lease(network, someone(), '10.0.1.5')).toThrow(
      'no configured subnet or ip-range contain the IP address 10.0.1.5',
    );
    expect(() => leases.lease(network, someone(), 'x')).toThrow('invalid IPv4 address: x');
  });

  it('are kept in the state file, and after a restart only those of containers that still run', () => {
    const { leases, network, repository } = setUp();
    const [gone, running] = [someone(), someone()];
    leases.lease(network, gone, null);
    const address = leases.lease(network, running, null);
    expect(repository.leases()).toHaveLength(2);

    const next = new AddressLeases(repository);
    const kept = { networkId: network.id, address, containerId: running };
    next.restore([kept]);
    expect(repository.leases()).toEqual([kept]);
    expect(next.lease(network, someone(), null)).toBe('10.0.0.2');
    expect(next.lease(network, someone(), null)).toBe('10.0.0.4');
  });
});
