/** The packet filter as the options want it; see engine/network/firewall/choice.ts. */
import { join } from 'node:path';
import { formatTimestamp } from '../../base/clock.ts';
import type { Config } from '../../config/config.ts';
import type { FirewallOptions, IptablesOptions } from '../../engine/network/firewall/choice.ts';
import type { UserlandProxy } from '../../engine/network/index.ts';
import type { FirewallFacts } from '../../engine/system/types.ts';
import { ABSENT_FIREWALLD, type KnownHostFirewall } from './host-firewall.ts';
import { programNamed } from './programs.ts';

/**
 * Families whose loopback addresses the filter leads in, and no proxy: ::1 it cannot lead at all, it can only refuse it at
 * once. As with dockerd, a proxy that serves loopback addresses is not passed by.
 */
const LED_FROM_LOOPBACK = {
  always: [],
  'where-needed': ['ipv4'],
  never: ['ipv4', 'ipv6'],
} as const satisfies Readonly<Record<UserlandProxy, readonly string[]>>;

/** `bridgeName` is the default bridge's, which no two engines of one host can share. */
export function firewallOptionsOf(config: Config, bridgeName: string, execRoot: string): FirewallOptions {
  // Who forbids the one means both: dockerd's ip6tables follows suit where nobody said otherwise.
  if (!config.get('iptables')) return { kind: 'none' };
  const nftables = {
    families: config.get('ip6tables') ? (['ipv4', 'ipv6'] as const) : (['ipv4'] as const),
    directRouting: config.get('allow-direct-routing'),
    acceptMark: config.get('bridge-accept-fwmark'),
    loopback: LED_FROM_LOOPBACK[userlandProxyOf(config)],
  };
  const tableName = `moored-${bridgeName}`;
  const iptables: IptablesOptions = {
    ipv4: programsOf('iptables'),
    ipv6: config.get('ip6tables') ? programsOf('ip6tables') : null,
    rememberedPath: join(execRoot, 'iptables.json'),
    directRouting: config.get('allow-direct-routing'),
    acceptMark: markOf(config.get('bridge-accept-fwmark')),
    loopback: nftables.loopback,
  };
  if (config.get('firewall-backend') === 'iptables') return { kind: 'iptables', tableName, iptables };
  return { kind: 'nftables', tableName, nftables, iptables };
}

/** Not said: the packet filter leads ports, and the proxy those that it cannot. */
export function userlandProxyOf(config: Config): UserlandProxy {
  if (config.originOf('userland-proxy').layer === 'default') return 'where-needed';
  return config.get('userland-proxy') ? 'always' : 'never';
}

/** What `docker info` and the bus say of it. */
export function firewallFacts(config: Config, host: KnownHostFirewall | null): () => FirewallFacts {
  return () => {
    const { isRunning, reloadedAt, missingZones } = host?.presence ?? ABSENT_FIREWALLD;
    return {
      backend: !config.get('iptables')
        ? 'none'
        : config.get('firewall-backend') === 'iptables'
          ? 'iptables'
          : 'nftables',
      hasFirewalld: isRunning,
      reloadedAt: reloadedAt === null ? null : formatTimestamp(reloadedAt),
      missingZones,
    };
  };
}

function programsOf(name: 'iptables' | 'ip6tables'): NonNullable<IptablesOptions['ipv4']> {
  return { restore: programNamed([`${name}-restore`]), save: programNamed([`${name}-save`]) };
}

/** `1/3` as iptables prints it: `0x1/0x3`. */
function markOf(text: string): string | null {
  if (text === '') return null;
  const [mark = '', mask] = text.split('/');
  const hex = (word: string): string => `0x${Number(word).toString(16)}`;
  return mask === undefined ? hex(mark) : `${hex(mark)}/${hex(mask)}`;
}
