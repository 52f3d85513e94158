import type { Link, RouteSocket } from '../../kernel/kernel.ts';
import { ADDRESS_BITS, parseAddress, parseCidr } from './ip.ts';
import type { Block } from './ip.ts';

/** What of the host decides about pools. */
export interface HostView {
  readonly route: RouteSocket;
  /** Text of the host's resolver configuration. */
  readonly resolvConf: string;
}

/** Blocks that the host reaches by another link than `own`, and its name servers, which a bridge must not hide. */
export function takenBlocks({ route, resolvConf }: HostView, own: Link | null): readonly Block[] {
  const routes = [...route.routes('ipv4'), ...route.routes('ipv6')].filter(({ linkIndex }) => !isOwn(linkIndex, own));
  const addresses = route.addresses(0).filter(({ linkIndex }) => !isOwn(linkIndex, own));
  const cidrs = [...routes.map(({ destination }) => destination), ...addresses.map(({ cidr }) => cidr)];
  const servers = resolvConf.split('\n').map((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? '');
  return [
    ...cidrs.map((cidr) => parseCidr(cidr)?.block ?? null),
    ...servers.map((server) => {
      const address = parseAddress(server);
      if (address === null) return null;
      return { family: address.family, base: address.value, prefixLength: ADDRESS_BITS[address.family] };
    }),
  ]
    .filter((block) => block !== null)
    .filter(({ prefixLength }) => prefixLength > 0);
}

function isOwn(linkIndex: number | null, own: Link | null): boolean {
  return own !== null && linkIndex === own.index;
}
