/** Other name servers, and from where they are asked. */
import { isIPv6 } from 'node:net';
import type { NameView } from '../name-service.ts';
import type { ResolvConf } from '../resolv-conf.ts';

/** One server. */
export interface Upstream {
  readonly address: string;
  /** Asked from the host's namespace; otherwise from the container's, by its routes and through its firewall. */
  readonly fromHost: boolean;
}

/** As many as the C library takes. */
const MAX_SERVERS = 3;

/**
 * Whom to ask for a container: its own servers, from where it is; else the host's, and from the host those that only the
 * host reaches (its loopback, as systemd-resolved's stub, a link of its own, IPv6 where the container has none). Nobody
 * for a container on internal networks alone.
 */
export function upstreamsOf(view: NameView, host: ResolvConf): readonly Upstream[] {
  if (view.networks.every(({ internal }) => internal)) return [];
  if (view.servers.length > 0) {
    return view.servers.slice(0, MAX_SERVERS).map((address) => ({ address, fromHost: false }));
  }
  const ipv6 = view.networks.some((network) => network.ipv6 && !network.internal);
  return host.servers.slice(0, MAX_SERVERS).map((address) => ({
    address,
    fromHost: address.startsWith('127.') || address === '::1' || address.includes('%') || (isIPv6(address) && !ipv6),
  }));
}
