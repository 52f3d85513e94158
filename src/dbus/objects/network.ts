/** Networks as objects. */
import { FIREWALL_ZONE, type Engine, type NetworkView } from '../../engine/index.ts';
import type { Dictionary } from '../bus/dictionary.ts';
import { done, type Call, type ExportedInterface } from '../bus/exported.ts';
import { idOfPath, interfaceName, pathOf } from '../names.ts';
import { DOCKER_ZONE } from '../firewalld-client.ts';
import type { ServiceFacts } from '../service-port.ts';
import { mirrorNoun, type MirrorGround } from './mirror.ts';
import type { RestWords } from '../words/rest-words.ts';
import { endpointWishOf } from '../words/network-config.ts';

export interface MirrorNetworksOptions extends MirrorGround {
  readonly engine: Pick<Engine, 'containers' | 'networks' | 'events'>;
  readonly words: Pick<RestWords, 'inspectNetwork'>;
  readonly facts: Pick<ServiceFacts, 'firewallBackend'>;
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

function interfaceOf(network: NetworkView, { engine, facts, users, words }: MirrorNetworksOptions): ExportedInterface {
  const { id, name } = network;
  return {
    name: interfaceName('Network'),
    methods: {
      Connect: async (_call: Call, container: string, given: Dictionary) =>
        done(engine.containers.connectNetwork(idOfPath('container', container), id, endpointWishOf(given))),
      Disconnect: async (_call: Call, container: string, force: boolean) =>
        done(engine.containers.disconnectNetwork(idOfPath('container', container), id, { force })),
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
      FirewallZone: zoneOf(network, facts),
      Containers: users.of('network', id),
    }),
    polkitDetails: () => ({ network: name, id }),
  };
}

/** Where the engine has put its bridge; bridges that say nothing are in Docker's own zone. */
function zoneOf({ driver, labels, options }: NetworkView, facts: MirrorNetworksOptions['facts']): string {
  if (driver !== 'bridge' || !facts.firewallBackend().startsWith('firewalld')) return '';
  return options[FIREWALL_ZONE] ?? labels[FIREWALL_ZONE] ?? DOCKER_ZONE;
}

function hostInterfaceOf({ id, name, driver, options }: NetworkView): string {
  if (driver !== 'bridge') return '';
  return options[BRIDGE_NAME_OPTION] ?? (PREDEFINED.has(name) ? 'docker0' : `br-${id.slice(0, 12)}`);
}
