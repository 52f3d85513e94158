import { NotImplementedError, UnavailableError } from '../../../base/errors.ts';
import { KernelError } from '../../kernel/kernel.ts';
import type { RateLimit, RouteSocket } from '../../kernel/kernel.ts';
import type { Sandbox } from '../driver.ts';
import { rateLimitsOf } from '../rate-limits.ts';
import type { NetworkRoom } from '../room.ts';
import type { EndpointState } from '../types.ts';

/**
 * Holds an endpoint that has just been plugged in to the limits of its container's labels: what it sends at its own end
 * of the link, what it receives at the host's. Nothing needs to be undone, it goes with the link. NotImplementedError
 * where the link has no end on the host, UnavailableError where the kernel cannot.
 */
export function limitRates(
  room: NetworkRoom,
  endpoint: EndpointState,
  sandbox: Sandbox,
  labels: Readonly<Record<string, string>>,
): void {
  const { egress, ingress } = rateLimitsOf(labels);
  if (egress === null && ingress === null) return;
  const { interfaceName, networkName } = endpoint;
  const link = sandbox.inside.linkByName(interfaceName);
  if (link === null) throw new KernelError('linkByName', 'ENODEV', interfaceName);
  if (egress !== null) limit(sandbox.inside, link.index, egress);
  if (ingress === null) return;
  if (link.type !== 'veth' || typeof link.parentIndex !== 'number') {
    throw new NotImplementedError(
      `what a container receives cannot be limited on network ${networkName}: only bridge networks have an end on the host`,
    );
  }
  limit(room.route.get(), link.parentIndex, ingress);
}

function limit(route: RouteSocket, linkIndex: number, wanted: RateLimit): void {
  try {
    route.limitRate(linkIndex, wanted);
  } catch (error) {
    if (!(error instanceof KernelError) || error.code !== 'ENOENT') throw error;
    throw new UnavailableError('bandwidth cannot be limited: the kernel module sch_tbf is not available', {
      cause: error,
    });
  }
}
