/** Names of containers on the host, where the configuration has a domain for them; see compose.ts. */
import { createHash } from 'node:crypto';
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import { openHostNames, removeHostNames } from '../../engine/network/host-names.ts';
import type { HostResolver } from '../../engine/network/host-resolver.ts';
import type { Networks } from '../../engine/network/types.ts';
import type { Ground } from './rooms.ts';

/** IFNAMSIZ is 16, and the other end of the pair has one letter more. */
const TAG_DIGITS = 8;

/** A host without them has containers all the same: a failure is only told. */
export async function openNamesOnHost(
  ground: Ground,
  networks: Networks,
  resources: AsyncDisposableStack,
): Promise<void> {
  const { config, kernel, logger, clock } = ground;
  const domain = config.get('host-names');
  const linkName = namesLinkOf(ground);
  try {
    if (domain === '') {
      await removeHostNames(kernel, linkName);
      return;
    }
    const resolver = await openResolver(clock);
    resources.use(await openHostNames({ kernel, networks, resolver, logger }, { domain, linkName }));
  } catch (error) {
    logger.warn('the host cannot resolve names of containers', { reason: messageOf(error) });
  }
}

/** The link's name, of this engine alone. */
function namesLinkOf({ execRoot }: Ground): string {
  return `mnames${createHash('sha256').update(execRoot).digest('hex').slice(0, TAG_DIGITS)}`;
}

async function openResolver(clock: Clock): Promise<HostResolver> {
  const [{ ResolvedClient }, { connectBus }, { socketAddresses, SYSTEM_BUS_ADDRESS }, { plainStream }] =
    await Promise.all([
      import('../../dbus/resolved-client.ts'),
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
  return new ResolvedClient({ connect, clock });
}
