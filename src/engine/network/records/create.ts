import { newId } from '../../../base/ids.ts';
import type { NetworkId } from '../../../base/ids.ts';
import { Undo } from '../../../base/undo.ts';
import { choosePool } from '../ipam/blocks.ts';
import { checkPools } from '../ipam/check.ts';
import { takenBlocks } from '../ipam/host.ts';
import type { Family } from '../ipam/ip.ts';
import { planPools } from '../ipam/plan.ts';
import { blockOf, isUnmanaged } from '../ipam/pool.ts';
import { wayOutOf } from '../joining/gateway.ts';
import { driverOf, tellOfNetwork, viewOf } from '../room.ts';
import type { NetworkRoom } from '../room.ts';
import type { IpamPool, IpamPoolRequest, NetworkRecord, NetworkRequest, NetworkView } from '../types.ts';
import { checkNewName, checkNewNetwork } from './check.ts';
import { checkConfiguration, configurationRecord, configured } from './configuration.ts';
import { withDefaultOptions } from './default-options.ts';
import { readOrEmpty } from './restore.ts';

/** See {@link Networks.create}. */
export async function createNetwork(
  room: NetworkRoom,
  asked: NetworkRequest,
): Promise<{ readonly network: NetworkView; readonly warnings: readonly string[] }> {
  checkNewName(room, asked);
  const wish = asked.configFrom === undefined ? withDefaultOptions(room.defaultNetworkOptions, asked) : asked;
  checkConfiguration(wish);
  if (wish.configOnly === true) return createConfiguration(room, wish);
  const request = configured(room, wish);
  checkNewNetwork(room, request);
  checkPools(request);
  const record = recordOf(room, request);
  const driver = driverOf(room, record);
  driver.validate(record, room.registry.list());
  using _closed = room.occupancy.close(record.id);
  await Undo.guard(async (undo) => {
    // Written down before anything is made: the name and the pools are taken from here on, and after a crash the next
    // start of the engine finishes what was begun.
    room.registry.save(record);
    room.leases.networkChanged(record);
    undo.defer(async () => {
      // What cannot be taken away keeps its record: nothing is in the kernel that nobody can see and remove.
      await driver.removeNetwork(record);
      room.registry.remove(record.id);
      room.leases.networkChanged(record);
    });
    await driver.createNetwork(record);
  });
  tellOfNetwork(room, 'create', record);
  return { network: viewOf(room, record), warnings: warningsOf(request) };
}

function createConfiguration(room: NetworkRoom, request: NetworkRequest): Awaited<ReturnType<typeof createNetwork>> {
  checkPools(request);
  const record = configurationRecord(room, request);
  room.registry.save(record);
  tellOfNetwork(room, 'create', record);
  return { network: viewOf(room, record), warnings: [] };
}

function recordOf(room: NetworkRoom, request: NetworkRequest): NetworkRecord {
  const { name, enableIpv4, options, labels, internal, attachable, ipamOptions, configFrom } = request;
  const record = {
    id: newId<NetworkId>(),
    name,
    driver: request.driver === '' ? 'bridge' : request.driver,
    createdAt: room.clock.now(),
    enableIpv4,
    enableIpv6: request.enableIpv6 ?? false,
    internal,
    attachable,
    options,
    labels,
    ipamDriver: request.ipamDriver === '' ? 'default' : request.ipamDriver,
    ipamOptions,
    ...(configFrom === undefined ? {} : { configFrom }),
  };
  const unusedPools = unusedOf(request);
  return {
    ...record,
    pools: record.ipamDriver === 'null' ? unmanaged(record) : planned(room, record, request),
    ...(unusedPools.length === 0 ? {} : { unusedPools }),
  };
}

/** What IPAM driver `null` says of a network: anything goes, and no address is given. */
function unmanaged({ enableIpv4, enableIpv6 }: { enableIpv4: boolean; enableIpv6: boolean }): readonly IpamPool[] {
  const subnets = [...(enableIpv4 ? ['0.0.0.0/0'] : []), ...(enableIpv6 ? ['::/0'] : [])];
  return subnets.map((subnet) => ({ subnet, gateway: null, ipRange: null, auxAddresses: {}, subnetChosen: true }));
}

function planned(
  room: NetworkRoom,
  record: Omit<NetworkRecord, 'pools'>,
  { pools, enableIpv4 }: NetworkRequest,
): readonly IpamPool[] {
  const networks = room.registry.list();
  const choose = (family: Family) => {
    const host = { route: room.route.get(), resolvConf: readOrEmpty(room.resolvConfPath) };
    const ofNetworks = networks.flatMap((network) => network.pools.filter((pool) => !isUnmanaged(pool)));
    const taken = [...takenBlocks(host, null), ...ofNetworks.map(({ subnet }) => blockOf(subnet))];
    return choosePool(family, room.addressPools, taken);
  };
  const driver = driverOf(room, record);
  const needsGateway = (family: Family): boolean => {
    const wayOut = wayOutOf(driver, record, family);
    return wayOut === 'gateway' || wayOut === 'local';
  };
  const { enableIpv6 } = record;
  return planPools({ enableIpv4, enableIpv6, pools }, { leases: room.leases, networks, choose, needsGateway });
}

/** dockerd passes over these without a word. */
function warningsOf(request: NetworkRequest): readonly string[] {
  return unusedOf(request).map(
    ({ subnet }) => `subnet ${subnet} is not used: the network has no ${subnet.includes(':') ? 'IPv6' : 'IPv4'}`,
  );
}

function unusedOf({ pools, enableIpv4, enableIpv6 }: NetworkRequest): readonly IpamPoolRequest[] {
  return pools.filter(({ subnet }) => subnet !== '' && !(subnet.includes(':') ? enableIpv6 === true : enableIpv4));
}
