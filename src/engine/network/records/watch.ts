import { messageOf } from '../../../base/errors.ts';
import type { NetworkId } from '../../../base/ids.ts';
import type { LinkNotice } from '../../kernel/kernel.ts';
import { bridgeSettings } from '../bridge/settings.ts';
import { driverOf } from '../room.ts';
import type { NetworkRoom } from '../room.ts';
import { openSandbox } from '../sandbox.ts';
import type { NetworkRecord } from '../types.ts';

/**
 * Makes bridges again that somebody takes away under running networks, and plugs their containers in again. One look at a
 * time; what comes meanwhile leads to one more.
 */
export function watchBridges(room: NetworkRoom): Disposable {
  let state: 'idle' | 'looking' | 'again' | 'over' = 'idle';
  const look = async (): Promise<void> => {
    do {
      state = 'looking';
      await remakeBridges(room);
    } while (isState('again'));
    if (!isState('over')) state = 'idle';
  };
  // The state changes while `look` waits.
  const isState = (wanted: typeof state): boolean => state === wanted;
  const onNotice = (notice: LinkNotice | null): void => {
    if (notice !== null && !(notice.gone && bridgeNames(room).has(notice.link.name))) return;
    if (state === 'idle') void look();
    else if (state === 'looking') state = 'again';
  };
  const watch = room.kernel.watchLinks(onNotice);
  return {
    [Symbol.dispose]: () => {
      state = 'over';
      watch[Symbol.dispose]();
    },
  };
}

/** Makes every bridge that is missing, with its containers plugged in; the networks that this befell. Never throws. */
export async function remakeBridges(room: NetworkRoom): Promise<void> {
  for (const network of room.registry.list()) {
    // Null while it is being made or removed, or plugged into, which makes the bridge as well.
    using closed = room.occupancy.close(network.id);
    if (network.driver !== 'bridge' || closed === null) continue;
    try {
      if (!isMissing(room, network)) continue;
      room.logger.warn('the bridge of a network has vanished: it is made again', { network: network.name });
      await driverOf(room, network).createNetwork(network);
      await replugAll(room, network.id);
    } catch (error) {
      room.logger.error('the bridge of a network cannot be made again', {
        network: network.name,
        reason: messageOf(error),
      });
    }
  }
}

/** Plugs the containers of a network into its link again. */
export async function replugAll(room: NetworkRoom, networkId: NetworkId): Promise<void> {
  const network = room.registry.byId(networkId);
  const driver = network === null ? null : driverOf(room, network);
  if (network === null || driver?.replug === undefined) return;
  for (const endpoint of room.live.on(networkId)) {
    const { netnsPath } = room.live.get(endpoint.containerId) ?? { netnsPath: null };
    if (netnsPath === null) continue;
    using sandbox = openSandbox(room.kernel, netnsPath);
    await driver.replug(network, endpoint, sandbox);
  }
}

/** Whether a bridge network has no bridge. */
export function isMissing(room: NetworkRoom, network: NetworkRecord): boolean {
  return room.route.get().linkByName(bridgeSettings(network).bridgeName) === null;
}

function bridgeNames({ registry }: NetworkRoom): ReadonlySet<string> {
  const bridges = registry.list().filter(({ driver }) => driver === 'bridge');
  return new Set(bridges.map((network) => bridgeSettings(network).bridgeName));
}
