import { InternalError } from '../../../base/errors.ts';
import type { MacvlanMode } from '../../kernel/kernel.ts';
import type { EndpointRequest, NetworkDriver, Sandbox, WayOut } from '../driver.ts';
import { configureInterface } from '../interface/configure.ts';
import type { InterfaceTools } from '../interface/configure.ts';
import { prefixOf } from '../interface/names.ts';
import { checkParented, dropParent, ensureParent, parentName, portFailed, retireChild } from '../parent-link.ts';
import type { ParentTools } from '../parent-link.ts';
import type { EndpointState, NetworkRecord } from '../types.ts';

const MODE_OPTION = 'macvlan_mode';
const MODES: ReadonlySet<string> = new Set<MacvlanMode>(['bridge', 'private', 'vepa', 'passthru']);

/** Containers with MAC addresses of their own on a link of the host: the network beyond it sees them as machines. */
export class MacvlanDriver implements NetworkDriver {
  readonly name = 'macvlan';
  readonly #tools: ParentTools & InterfaceTools;

  constructor(tools: ParentTools & InterfaceTools) {
    this.#tools = tools;
  }

  validate(network: NetworkRecord, others: readonly NetworkRecord[] = []): void {
    checkParented(network);
    prefixOf(network);
    const mode = modeOf(network);
    const parent = parentName(network);
    for (const other of others) {
      if (other.driver !== this.name || other.id === network.id || parentName(other) !== parent) continue;
      if (mode === 'passthru') {
        throw new InternalError(
          `cannot use mode passthru, macvlan network ${other.id} is already using parent interface ${parent}`,
        );
      }
      if (modeOf(other) === 'passthru') {
        throw new InternalError(
          `macvlan network ${other.id} is already using parent interface ${parent} in mode passthru`,
        );
      }
    }
  }

  /** The router, if there is one, is a machine beyond the parent. */
  wayOut({ internal }: Pick<NetworkRecord, 'internal'>): WayOut {
    return internal ? 'none' : 'gateway';
  }

  async createNetwork(network: NetworkRecord): Promise<void> {
    this.validate(network);
    ensureParent(network, this.#tools);
  }

  async removeNetwork(network: NetworkRecord): Promise<void> {
    await dropParent(network, this.#tools);
  }

  async connect(request: EndpointRequest, sandbox: Sandbox): Promise<void> {
    const parent = ensureParent(request.network, this.#tools);
    try {
      this.#tools.route().createLink({
        kind: 'macvlan',
        name: request.interfaceName,
        parentIndex: parent.index,
        mode: modeOf(request.network),
        netns: sandbox.netns,
        // In passthru mode the parent's own address is the only one that comes through.
        ...(modeOf(request.network) === 'passthru' ? {} : { macAddress: request.macAddress }),
      });
    } catch (error) {
      throw portFailed('macvlan', error);
    }
    try {
      configureInterface(request, sandbox, this.#tools);
    } catch (error) {
      await this.disconnect(request, sandbox);
      throw error;
    }
  }

  async disconnect(endpoint: Pick<EndpointState, 'interfaceName'>, sandbox: Sandbox | null): Promise<void> {
    await retireChild(endpoint, sandbox);
  }
}

function modeOf({ options }: Pick<NetworkRecord, 'options'>): MacvlanMode {
  const mode = options[MODE_OPTION] ?? '';
  if (mode === '') return 'bridge';
  if (MODES.has(mode)) return mode as MacvlanMode;
  throw new InternalError(`requested macvlan mode '${mode}' is not valid, 'bridge' mode is the macvlan driver default`);
}
