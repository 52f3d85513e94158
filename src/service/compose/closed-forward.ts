/** What of the host's packet filters is in the containers' way; see engine/network/firewall/closed-forward.ts. */
import { bridgeSettings } from '../../engine/network/bridge/settings.ts';
import { closedForwards } from '../../engine/network/firewall/closed-forward.ts';
import { NetworkRegistry } from '../../engine/network/registry.ts';
import { NetworkRepository } from '../../engine/state/networks.ts';
import type { HostFault } from '../../engine/check/ground.ts';
import type { Ground } from './rooms.ts';

type Looked = Pick<Ground, 'config' | 'kernel' | 'database'>;

/** For `docker info`, which many ask often: looked at anew after this time. */
const FRESH_MS = 10_000;

/** Nothing where the packet filter is the administrator's alone. */
export function hostFaults({ config, kernel, database }: Looked): () => readonly HostFault[] {
  return () => {
    if (!config.get('iptables')) return [];
    const registry = new NetworkRegistry(new NetworkRepository(database));
    registry.load();
    const bridges = registry
      .list()
      .filter(({ driver, internal }) => driver === 'bridge' && !internal)
      .map((network) => bridgeSettings(network).bridgeName);
    return closedForwards(kernel.nft, bridges).map(({ chain, bridges: dropped }) => ({
      subject: chain,
      problem: `drops what is forwarded to and from ${dropped.join(', ')}`,
      remedy: 'let it pass there, or have the engine use --firewall-backend=iptables (docs/firewall.md)',
    }));
  };
}

/** The same in the words of `docker info`. */
export function hostWarnings(ground: Looked & Pick<Ground, 'clock'>): () => readonly string[] {
  const look = hostFaults(ground);
  let warnings: readonly string[] = [];
  let freshUntilMs = -Infinity;
  return () => {
    const nowMs = ground.clock.monotonicMs();
    if (nowMs < freshUntilMs) return warnings;
    freshUntilMs = nowMs + FRESH_MS;
    warnings = look().map(({ subject, problem }) => `WARNING: the host's nftables chain ${subject} ${problem}`);
    return warnings;
  };
}
