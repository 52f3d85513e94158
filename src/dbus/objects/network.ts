/** Networks as objects. */
import type { Engine, NetworkView } from '../../engine/index.ts';
import type { ContainerUsers } from '../container-users.ts';
import type { ExportedInterface, ObjectTree } from '../exported.ts';
import { interfaceName, pathOf } from '../names.ts';
import type { RestWords } from '../rest-words.ts';
import { notSupported } from '../unsupported.ts';

export interface MirrorNetworksOptions {
  readonly engine: Pick<Engine, 'networks' | 'events'>;
  readonly tree: ObjectTree;
  readonly users: ContainerUsers;
  readonly words: Pick<RestWords, 'inspectNetwork'>;
}

/** Puts every network into the tree and keeps it there as it is. */
export function mirrorNetworks(options: MirrorNetworksOptions): Disposable {
  const { engine, tree, users } = options;
  const watching = new DisposableStack();
  const add = (network: NetworkView): void => {
    tree.add({ path: pathOf('network', network.id), interfaces: [interfaceOf(network, options)] });
  };
  watching.use(
    engine.events.listen(({ type, action, actorId }) => {
      if (type !== 'network') return;
      if (action === 'create') add(engine.networks.get(actorId));
      if (action === 'destroy') tree.remove(pathOf('network', actorId));
    }),
  );
  watching.use(
    users.listen((kind, id) => {
      if (kind === 'network') tree.changed(pathOf('network', id));
    }),
  );
  for (const network of engine.networks.list()) add(network);
  return watching;
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
      Remove: async () => {
        await engine.networks.remove(id);
        return [];
      },
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
