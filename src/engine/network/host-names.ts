/**
 * Names of containers on the host: `web.docker` and `web.net.docker`, for whoever asks the host's own resolver. Off
 * unless an engine is given a domain for it.
 *
 * Story: a small name server listens at an address of a link of our own; the host's resolver is told that questions
 * below the domain go there, and is told again when it is started anew. Both go with the engine; a killed engine's link
 * is made anew by the next one.
 */
import type { Logger } from '../../base/logger.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { HostResolver } from './host-resolver.ts';
import { answerOf } from './host-names/directory.ts';
import { makePlace, removeLink } from './host-names/place.ts';
import { HostNameServer } from './host-names/server.ts';
import { procSysctls, type Sysctls } from './sysctl.ts';
import type { Networks } from './types.ts';

/** What it works with. */
export interface HostNamesDependencies {
  readonly kernel: Pick<Kernel, 'namespaces' | 'openRoute'>;
  readonly networks: Pick<Networks, 'list'>;
  readonly resolver: HostResolver;
  readonly logger: Logger;
  /** Other than /proc/sys only in tests. */
  readonly sysctls?: Sysctls;
}

/**
 * Begins to answer for `domain` by a link of that name. The host's resolver is told in its own time; KernelError,
 * UnavailableError or the system's words where there can be no link or no server.
 */
export async function openHostNames(
  { kernel, networks, resolver, logger, sysctls = procSysctls }: HostNamesDependencies,
  { domain, linkName }: { readonly domain: string; readonly linkName: string },
): Promise<AsyncDisposable> {
  await using made = new AsyncDisposableStack();
  const route = made.use(kernel.openRoute(null));
  made.defer(() => removeLink(route, linkName));
  const place = await makePlace(kernel, { route, sysctls }, linkName);
  const source = { domain: domain.toLowerCase(), networks: () => networks.list() };
  made.use(await HostNameServer.listen(place.address, (bytes, transport) => answerOf(bytes, transport, source)));
  let isTold: boolean | null = null;
  const report = (problem: string | null): void => {
    const before = isTold;
    isTold = problem === null;
    if (isTold === before) return;
    if (isTold) logger.info(`the host resolves names of containers below ${domain}`, { address: place.address });
    else logger.warn(`the host cannot resolve names of containers: ${problem ?? ''}; trying on`);
  };
  made.use(resolver.lead({ linkIndex: place.linkIndex, address: place.address, domain: source.domain }, report));
  return made.move();
}

/** Takes away the link of an engine that no longer has names on the host. */
export async function removeHostNames(kernel: Pick<Kernel, 'openRoute'>, linkName: string): Promise<void> {
  using route = kernel.openRoute(null);
  await removeLink(route, linkName);
}
