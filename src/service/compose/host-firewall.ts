/** firewalld as the network room sees it: a client of the bus that is only there where firewalld is; see compose.ts. */
import { existsSync } from 'node:fs';
import type { Clock, Timestamp } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { Config } from '../../config/config.ts';
import type { HostFirewall } from '../../engine/network/host-firewall.ts';
import type { Networks } from '../../engine/network/types.ts';

/** Without one of these the bus lets nobody be firewalld. */
const BUS_POLICIES = ['/usr/share/dbus-1/system.d/FirewallD.conf', '/etc/dbus-1/system.d/FirewallD.conf'];

/** firewalld, and what is known of it without asking. */
export interface KnownHostFirewall extends HostFirewall {
  readonly presence: {
    readonly isRunning: boolean;
    readonly reloadedAt: Timestamp | null;
    /** Zones that bridges were to be put into, and that are not there. */
    readonly missingZones: readonly string[];
  };
}

type Client = KnownHostFirewall & Disposable;

export const ABSENT_FIREWALLD: KnownHostFirewall['presence'] = { isRunning: false, reloadedAt: null, missingZones: [] };

/**
 * Null where firewalld is not installed, or no packet filter is to be touched: nothing is loaded, nothing connected. A
 * firewalld that is installed while the engine runs is seen from the engine's next start on.
 */
export function openHostFirewall(
  { config, clock, logger }: { readonly config: Config; readonly clock: Clock; readonly logger: Logger },
  resources: AsyncDisposableStack,
): KnownHostFirewall | null {
  if (!config.get('iptables') || !BUS_POLICIES.some((path) => existsSync(path))) return null;
  return resources.use(lazyClient(clock, logger));
}

/** Puts everything in place again after each reload, once at a time, and once more where one came meanwhile. */
export function reassertAfterReloads(
  host: HostFirewall,
  networks: Pick<Networks, 'reassert'>,
  logger: Logger,
): Disposable {
  let state: 'idle' | 'busy' | 'again' = 'idle';
  const reassert = async (): Promise<void> => {
    do {
      state = 'busy';
      try {
        await networks.reassert();
        logger.info('firewalld has changed the rules of the host: those of the engine are in place again');
      } catch (error) {
        logger.error(
          `firewalld has changed the rules of the host, and those of the engine are not in place: ${messageOf(error)}`,
        );
      }
    } while ((state as string) === 'again');
    state = 'idle';
  };
  return host.onReloaded(() => {
    if (state === 'idle') void reassert();
    else state = 'again';
  });
}

function lazyClient(clock: Clock, logger: Logger): Client {
  let loading: Promise<Client> | null = null;
  let loaded: Client | null = null;
  const client = async (): Promise<Client> => {
    loading ??= openClient(clock, logger);
    return (loaded ??= await loading);
  };
  return {
    get presence() {
      return loaded?.presence ?? ABSENT_FIREWALLD;
    },
    isRunning: async () => (await client()).isRunning(),
    addInterface: async (name, zone) => (await client()).addInterface(name, zone),
    removeInterface: async (name) => (await client()).removeInterface(name),
    zoneOf: async (name) => (await client()).zoneOf(name),
    onReloaded: (listener) => {
      const listening = client().then((opened) => opened.onReloaded(listener));
      return { [Symbol.dispose]: () => void listening.then((end) => end[Symbol.dispose]()) };
    },
    [Symbol.dispose]: () => {
      void loading?.then((opened) => opened[Symbol.dispose]());
    },
  };
}

async function openClient(clock: Clock, logger: Logger): Promise<Client> {
  const [{ FirewalldClient }, { connectBus }, { socketAddresses, SYSTEM_BUS_ADDRESS }, { plainStream }] =
    await Promise.all([
      import('../../dbus/firewalld-client.ts'),
      import('../../dbus/bus/connection.ts'),
      import('../../dbus/bus/address.ts'),
      import('../../dbus/bus/plain-stream.ts'),
    ]);
  const ignore = (): void => undefined;
  const connect = async (closed: () => void): ReturnType<typeof connectBus> => {
    const [address = ''] = socketAddresses(process.env['DBUS_SYSTEM_BUS_ADDRESS'] ?? SYSTEM_BUS_ADDRESS);
    const events = { call: ignore, unreadable: ignore, bounce: ignore, closed };
    return connectBus({ stream: plainStream(address), clock, closeFd: ignore, events });
  };
  return new FirewalldClient({ connect, clock, logger });
}
