import { InternalError } from '../../../base/errors.ts';
import type { IpvlanFlag, IpvlanMode } from '../../kernel/kernel.ts';
import type { EndpointRequest, NetworkDriver, Sandbox, WayOut } from '../driver.ts';
import { configureInterface } from '../interface/configure.ts';
import type { InterfaceTools } from '../interface/configure.ts';
import { prefixOf } from '../interface/names.ts';
import {
  checkParented,
  dropParent,
  ensureParent,
  hasParent,
  parentName,
  portFailed,
  retireChild,
} from '../parent-link.ts';
import type { ParentTools } from '../parent-link.ts';
import type { EndpointState, NetworkRecord } from '../types.ts';

const MODE_OPTION = 'ipvlan_mode';
const FLAG_OPTION = 'ipvlan_flag';
const MODES: ReadonlySet<string> = new Set<IpvlanMode>(['l2', 'l3', 'l3s']);
const FLAGS: ReadonlySet<string> = new Set<IpvlanFlag>(['bridge', 'private', 'vepa']);

/** Containers that share the MAC address of a link of the host and are told apart by their IP addresses. */
export class IpvlanDriver implements NetworkDriver {
  readonly name = 'ipvlan';
  readonly #tools: ParentTools & InterfaceTools;

  constructor(tools: ParentTools & InterfaceTools) {
    this.#tools = tools;
  }

  validate(network: NetworkRecord, others: readonly NetworkRecord[] = []): void {
    checkParented(network);
    prefixOf(network);
    modeOf(network);
    flagOf(network);
    const parent = parentName(network);
    const other = others.find(
      (candidate) => candidate.driver === this.name && candidate.id !== network.id && parentName(candidate) === parent,
    );
    if (other === undefined) return;
    // dockerd names the other network by the dummy that it would have.
    throw new InternalError(`network di-${other.id.slice(0, 12)} is already using parent interface ${parent}`);
  }

  /** At layer 3 everything goes out of the link; at layer 2 to a router beyond the parent. */
  wayOut(network: Pick<NetworkRecord, 'internal' | 'options'>): WayOut {
    if (network.internal || !hasParent(network)) return 'none';
    return modeOf(network) === 'l2' ? 'gateway' : 'link';
  }

  async createNetwork(network: NetworkRecord): Promise<void> {
    this.validate(network);
    ensureParent(network, this.#tools);
  }

  async removeNetwork(network: NetworkRecord): Promise<void> {
    await dropParent(network, this.#tools);
  }

  async connect(request: EndpointRequest, sandbox: Sandbox): Promise<void> {
    const { network } = request;
    const parent = ensureParent(network, this.#tools);
    const mode = modeOf(network);
    try {
      this.#tools.route().createLink({
        kind: 'ipvlan',
        name: request.interfaceName,
        parentIndex: parent.index,
        mode,
        flag: flagOf(network),
        netns: sandbox.netns,
      });
    } catch (error) {
      throw portFailed('ipvlan', error);
    }
    try {
      configureInterface(request, sandbox, this.#tools, mode === 'l2' ? 'gateway' : 'link');
    } catch (error) {
      await this.disconnect(request, sandbox);
      throw error;
    }
  }

  async disconnect(endpoint: Pick<EndpointState, 'interfaceName'>, sandbox: Sandbox | null): Promise<void> {
    await retireChild(endpoint, sandbox);
  }
}

function modeOf({ options }: Pick<NetworkRecord, 'options'>): IpvlanMode {
  const mode = options[MODE_OPTION] ?? '';
  if (mode === '') return 'l2';
  if (MODES.has(mode)) return mode as IpvlanMode;
  throw new InternalError(`requested ipvlan mode '${mode}' is not valid, 'l2' mode is the ipvlan driver default`);
}

function flagOf({ options }: Pick<NetworkRecord, 'options'>): IpvlanFlag {
  const flag = options[FLAG_OPTION] ?? '';
  if (flag === '') return 'bridge';
  if (FLAGS.has(flag)) return flag as IpvlanFlag;
  throw new InternalError(`requested ipvlan flag '${flag}' is not valid, 'bridge' is the ipvlan driver default`);
}
