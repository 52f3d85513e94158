/**
 * Where the host asks for names: a link of our own, since the host's resolver keeps what it is told by link, and asks
 * nobody by one without carrier, as a bridge without running containers is. A veth pair with both ends on the host has
 * it always, and needs nothing of the kernel that containers do not need as well.
 */
import { closeSync } from 'node:fs';
import { UnavailableError } from '../../../base/errors.ts';
import { KernelError, type Kernel, type RouteSocket } from '../../kernel/kernel.ts';
import type { Sysctls } from '../sysctl.ts';

const OWN_NETNS = '/proc/thread-self/ns/net';
const MTU = 1500;
/** Link-local (RFC 3927), so that it is in nobody's way; by a fixed front, to be known again. */
const ADDRESS_FRONT = '169.254.53.';
const ADDRESSES = 254;

/** A link with an address. */
export interface NamePlace {
  readonly linkIndex: number;
  readonly address: string;
}

/** Makes the link `name` anew, with the first address that the host has not. UnavailableError when there is none left. */
export async function makePlace(
  kernel: Pick<Kernel, 'namespaces'>,
  { route, sysctls }: { readonly route: RouteSocket; readonly sysctls: Sysctls },
  name: string,
): Promise<NamePlace> {
  await removeLink(route, name);
  const taken = new Set(route.addresses(0).map(({ cidr }) => cidr.split('/', 1)[0]));
  const address = Array.from({ length: ADDRESSES }, (_, index) => `${ADDRESS_FRONT}${String(index + 1)}`).find(
    (one) => !taken.has(one),
  );
  if (address === undefined) throw new UnavailableError(`no address of ${ADDRESS_FRONT}0/24 is free`);
  const peerName = `${name}p`;
  const home = kernel.namespaces.openNetns(OWN_NETNS);
  try {
    const mtu = MTU;
    route.createVethPair({ name, masterIndex: null, mtu, peerName, peerNetns: home, peerMacAddress: null });
  } finally {
    closeSync(home);
  }
  for (const end of [name, peerName]) quieten(sysctls, end);
  const peer = route.linkByName(peerName);
  const link = route.linkByName(name);
  if (peer === null || link === null) throw new KernelError('linkByName', 'ENODEV', name);
  route.changeLink(peer.index, { up: true });
  route.addAddress(link.index, `${address}/32`);
  return { linkIndex: link.index, address };
}

/** Takes the link away where it is; it takes its other end along. */
export async function removeLink(route: RouteSocket, name: string): Promise<void> {
  const link = route.linkByName(name);
  if (link !== null) await route.retireLink(link.index);
}

/** No addresses of IPv6, and no solicitations for them, on a link that leads nowhere. */
function quieten(sysctls: Sysctls, linkName: string): void {
  const key = `net/ipv6/conf/${linkName}/disable_ipv6`;
  if (sysctls.read(key) === '0') sysctls.write(key, '1');
}
