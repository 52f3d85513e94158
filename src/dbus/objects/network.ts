/** Networks as objects. */
import type { Engine, NetworkView } from '../../engine/index.ts';
import { done, type ExportedInterface } from '../exported.ts';
import { interfaceName, pathOf } from '../names.ts';
import { mirrorNoun, type MirrorGround } from './mirror.ts';
import type { RestWords } from '../rest-words.ts';
import { notSupported } from '../unsupported.ts';

export interface MirrorNetworksOptions extends MirrorGround {
  readonly engine: Pick<Engine, 'networks' | 'events'>;
  readonly words: Pick<RestWords, 'inspectNetwork'>;
}

/** Puts every network into the tree and keeps it there as it is. */
export function mirrorNetworks(options: MirrorNetworksOptions): Disposable {
  const { networks } = options.engine;
  return mirrorNoun(options, {
    type: 'network',
    list: () => networks.list(),
    get: (id) => networks.get(id),
    keyOf: ({ id }) => id,
    pathOf: (id) => pathOf('network', id),
    interfaceOf: (network) => interfaceOf(network, options),
  });
}

const BRIDGE_NAME_OPTION = 'com.docker.network.bridge.name';
/** Docker's names for what always exists. */
const PREDEFINED: ReadonlySet<string> = new Set(['bridge', 'host', 'none']);

function interfaceOf(network: NetworkView, { engine, users, words }: MirrorNetworksOptions): ExportedInterface {
  const { id, name } = network;
  return {
    name: interfaceName('Network'),
    methods: {
      Connect: () => notSupported('connecting running containers to networks'),
      Disconnect: () => notSupported('disconnecting containers from networks'),
      Remove: async () => done(engine.networks.remove(id)),
      Inspect: async () => [await words.inspectNetwork(id)],
    },
    properties: () => ({
      Id: id,
      Name: name,
      Driver: network.driver,
      Internal: network.internal,
      IPv6: network.enableIpv6,
      Subnets: network.pools.map(({ subnet, gateway, ipRange }) => [subnet, gateway ?? '', ipRange ?? '']),
      InterfaceName: hostInterfaceOf(network),
      // Zones are firewalld's; this version does not talk to it.
      FirewallZone: '',
      Containers: users.of('network', id),
    }),
    polkitDetails: () => ({ network: name, id }),
  };
}

function hostInterfaceOf({ id, name, driver, options }: NetworkView): string {
  if (driver !== 'bridge') return '';
  return options[BRIDGE_NAME_OPTION] ?? (PREDEFINED.has(name) ? 'docker0' : `br-${id.slice(0, 12)}`);
}
