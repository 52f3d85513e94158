/** The link of the host that macvlan and ipvlan networks sit on: one that is there, or one made for the network. */
import { InternalError, InvalidArgumentError } from '../../base/errors.ts';
import { KernelError } from '../kernel/kernel.ts';
import type { Link, RouteSocket } from '../kernel/kernel.ts';
import { poolsOf } from './interface/pools.ts';
import type { Sandbox } from './driver.ts';
import type { EndpointState, NetworkRecord } from './types.ts';

const PARENT_OPTION = 'parent';
/** VLAN ids are twelve bits, the first and the last of them reserved (IEEE 802.1Q). */
const LAST_VLAN = 4094;

/** The kinds of networks that have parents, and what the dummies they make are called before the network's id. */
const DUMMY_PREFIX = { macvlan: 'dm-', ipvlan: 'di-' } as const;
export type ParentedKind = keyof typeof DUMMY_PREFIX;

/** What the drivers need of their room. */
export interface ParentTools {
  /** rtnetlink in the daemon's own namespace. */
  readonly route: () => RouteSocket;
  /** Whether this engine made the parent. One that was there before is used as it is and never deleted. */
  readonly ownership: {
    owns(network: NetworkRecord): boolean;
    claim(network: NetworkRecord): void;
  };
  /** All networks, by which it is known who else sits on a parent. */
  readonly networks: () => readonly NetworkRecord[];
}

/** Name of a network's parent; one that names none has a dummy of its own, and leads nowhere. */
export function parentName({ driver, id, options }: Pick<NetworkRecord, 'driver' | 'id' | 'options'>): string {
  const given = options[PARENT_OPTION] ?? '';
  return given === '' ? `${DUMMY_PREFIX[driver as ParentedKind]}${id.slice(0, 12)}` : given;
}

/** Whether the user named a parent. */
export function hasParent({ options }: Pick<NetworkRecord, 'options'>): boolean {
  return (options[PARENT_OPTION] ?? '') !== '';
}

/** What both kinds refuse, in Docker's words. */
export function checkParented(network: NetworkRecord): void {
  if (network.enableIpv4 !== false) requirePool(network, 'ipv4', '0.0.0.0/0');
  if (network.enableIpv6) requirePool(network, 'ipv6', '::/0');
  if (parentName(network) === 'lo') {
    throw new InternalError(`loopback interface is not a valid ${network.driver} parent link`);
  }
}

/** Finds the parent, or makes it: a dummy, or the VLAN that its name says (`eth0.10`). Errors in Docker's words. */
export function ensureParent(network: NetworkRecord, { route, ownership }: ParentTools): Link {
  const name = parentName(network);
  const found = route().linkByName(name);
  if (found !== null) return found;
  const make = hasParent(network) ? vlan(route(), name) : dummy(route(), name);
  // Claimed first: a crash in between leaves a claim without a link, which is harmless, never the reverse.
  ownership.claim(network);
  make();
  const made = route().linkByName(name);
  if (made === null) throw new KernelError('RTM_GETLINK', 'ENODEV', name, 'the link just made is gone');
  route().changeLink(made.index, { up: true });
  return made;
}

/** Takes away what {@link ensureParent} made; a parent that others of our networks sit on becomes theirs. Idempotent. */
export async function dropParent(network: NetworkRecord, { route, ownership, networks }: ParentTools): Promise<void> {
  if (!ownership.owns(network)) return;
  const name = parentName(network);
  const heir = networks().find((other) => isParented(other) && other.id !== network.id && parentName(other) === name);
  if (heir !== undefined) {
    ownership.claim(heir);
    return;
  }
  const link = route().linkByName(name);
  if (link?.type === 'dummy' || link?.type === 'vlan') await route().retireLink(link.index);
}

/** True for networks whose `parent` is one. */
export function isParented({ driver }: Pick<NetworkRecord, 'driver'>): boolean {
  return driver in DUMMY_PREFIX;
}

/** Turns the kernel's word that it has no such kind of link into one for users. */
export function portFailed(kind: ParentedKind, error: unknown): unknown {
  if (!(error instanceof KernelError)) return error;
  return new InternalError(`failed to create the ${kind} port: ${reasonOf(error)}`, { cause: error });
}

/** The kernel's words less what was asked of it. */
function reasonOf({ code, message }: KernelError): string {
  if (code === 'ENOTSUP') return 'operation not supported';
  return message
    .slice(message.lastIndexOf(': ') + 1)
    .replace(/ \(E\w+\)$/, '')
    .trim();
}

function requirePool(network: NetworkRecord, family: 'ipv4' | 'ipv6', everything: string): void {
  const [pool] = poolsOf(network, family);
  if (pool === undefined || pool.subnet === everything) throw new InvalidArgumentError(`${family} pool is empty`);
}

function dummy(route: RouteSocket, name: string): () => void {
  return () => {
    try {
      route.createLink({ kind: 'dummy', name });
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      throw new InternalError(reasonOf(error), { cause: error });
    }
  };
}

function vlan(route: RouteSocket, name: string): () => void {
  if (!name.includes('.')) {
    throw new InternalError(`invalid subinterface vlan name ${name}, example formatting is eth0.10`);
  }
  const [above = '', id = '', ...more] = name.split('.');
  if (more.length > 0) {
    throw new InternalError(
      `required interface name format is: name.vlan_id, ex. eth0.10 for vlan 10, instead received ${name}`,
    );
  }
  if (!/^\d+$/.test(id)) {
    throw new InternalError(`unable to parse a valid vlan id from: ${id} (ex. eth0.10 for vlan 10)`);
  }
  const parent = route.linkByName(above);
  if (parent === null) throw new InternalError(`-o parent interface was not found on the host: ${above}`);
  const vlanId = Number(id);
  if (vlanId < 1 || vlanId > LAST_VLAN) {
    throw new InternalError(`vlan id must be between 1-4094, received: ${String(vlanId)}`);
  }
  return () => {
    try {
      route.createLink({ kind: 'vlan', name, parentIndex: parent.index, vlanId });
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      throw new InternalError(`failed to create ${name} vlan link: ${reasonOf(error)}`, { cause: error });
    }
  };
}

/** Takes the link that one of these drivers has put into a sandbox away again; idempotent. */
export async function retireChild(
  { interfaceName }: Pick<EndpointState, 'interfaceName'>,
  sandbox: Sandbox | null,
): Promise<void> {
  const index = sandbox?.inside.linkIndex(interfaceName) ?? null;
  if (index !== null) await sandbox?.inside.retireLink(index);
}
