/** Networks in memory, for fronts: no kernel, no addresses but the default bridge's. */
import type { Clock, Timestamp } from '../../src/base/clock.ts';
import { ConflictError, ForbiddenError, NotFoundError } from '../../src/base/errors.ts';
import { newId, type EndpointId, type NetworkId } from '../../src/base/ids.ts';
import type { Engine, EngineEvent, NetworkView } from '../../src/engine/index.ts';

type Publish = (event: Omit<EngineEvent, 'time'>) => void;

const PREDEFINED = ['bridge', 'host', 'none'];

export function fakeNetworks(clock: Clock, publish: Publish): Engine['networks'] {
  const networks = PREDEFINED.map((name, i) => predefined(name, String(i + 1).repeat(64), clock.now()));
  const get = (ref: string): NetworkView => {
    const found = networks.find(({ id, name }) => name === ref || id.startsWith(ref));
    if (found === undefined) throw new NotFoundError(`network ${ref} not found`);
    return found;
  };
  const tell = (action: string, { id, name, driver }: NetworkView): void =>
    publish({ type: 'network', action, actorId: id, attributes: { name, type: driver } });
  return {
    list: () => networks,
    get,
    create: async (request) => {
      if (networks.some(({ name }) => name === request.name)) {
        throw new ConflictError(`network with name ${request.name} already exists`);
      }
      const { name, driver, enableIpv6, ipamDriver, pools, ...rest } = request;
      const network: NetworkView = {
        ...rest,
        id: newId<NetworkId>(),
        name,
        createdAt: clock.now(),
        driver: driver === '' ? 'bridge' : driver,
        enableIpv6: enableIpv6 ?? false,
        ipamDriver: ipamDriver === '' ? 'default' : ipamDriver,
        pools: pools.map(({ gateway, ipRange, ...pool }) => ({
          ...pool,
          gateway: gateway === '' ? null : gateway,
          ipRange: ipRange === '' ? null : ipRange,
        })),
        endpoints: [],
      };
      networks.push(network);
      tell('create', network);
      return { network, warnings: [] };
    },
    remove: async (ref) => {
      const network = get(ref);
      if (PREDEFINED.includes(network.name)) {
        throw new ForbiddenError(`${network.name} is a pre-defined network and cannot be removed`);
      }
      networks.splice(networks.indexOf(network), 1);
      tell('destroy', network);
    },
  };
}

function predefined(name: string, id: string, createdAt: Timestamp): NetworkView {
  const isBridge = name === 'bridge';
  return {
    id: id as NetworkId,
    name,
    driver: name === 'none' ? 'null' : name,
    createdAt,
    enableIpv6: false,
    internal: false,
    attachable: false,
    options: isBridge ? { 'com.docker.network.bridge.name': 'docker0' } : {},
    labels: {},
    ipamDriver: 'default',
    ipamOptions: null,
    pools: isBridge ? [{ subnet: '172.17.0.0/16', gateway: '172.17.0.1', ipRange: null, auxAddresses: {} }] : [],
    endpoints: isBridge ? [ENDPOINT] : [],
  };
}

const ENDPOINT: NetworkView['endpoints'][number] = {
  endpointId: 'e'.repeat(64) as EndpointId,
  networkId: '1'.repeat(64) as NetworkId,
  networkName: 'bridge',
  containerId: 'c'.repeat(64) as NetworkView['endpoints'][number]['containerId'],
  interfaceName: 'eth0',
  ipv4Address: '172.17.0.2',
  ipv4PrefixLength: 16,
  ipv4Gateway: '172.17.0.1',
  ipv6Address: null,
  ipv6PrefixLength: 0,
  ipv6Gateway: null,
  macAddress: '02:42:ac:11:00:02',
  publishedPorts: [],
};
