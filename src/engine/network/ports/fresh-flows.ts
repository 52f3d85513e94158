import type { Logger } from '../../../base/logger.ts';
import { messageOf } from '../../../base/errors.ts';
import type { FlowCalls, FlowTarget } from '../../kernel/kernel.ts';
import type { PortPublisher } from '../ports.ts';
import type { PublishedPort } from '../types.ts';

/** What is needed for it. */
export interface FlowParts {
  readonly flows: FlowCalls;
  readonly logger: Logger;
}

/**
 * A publisher after which clients by UDP are led as it says now. One that never falls silent is one flow for ever to the
 * kernel: it would go on to a container that is gone, or to the host itself where nothing was published as it began.
 */
export function withFreshFlows(publisher: PortPublisher, { flows, logger }: FlowParts): PortPublisher {
  const forget = async (ports: readonly PublishedPort[]): Promise<void> => {
    const targets = ports.flatMap(targetOf);
    if (targets.length === 0) return;
    try {
      await flows.forgetUdp(targets);
    } catch (error) {
      logger.debug('clients by UDP may be led as before', { reason: messageOf(error) });
    }
  };
  return {
    async publish(target, bindings) {
      const ports = await publisher.publish(target, bindings);
      await forget(ports);
      return ports;
    },
    async unpublish(bridgeName, ports) {
      try {
        await publisher.unpublish(bridgeName, ports);
      } finally {
        await forget(ports);
      }
    },
    adopt: (ports, logger) => publisher.adopt(ports, logger),
    releaseAll: () => publisher.releaseAll(),
  };
}

function targetOf({ container, hostIp, hostPort }: PublishedPort): readonly FlowTarget[] {
  if (container.protocol !== 'udp' || hostPort === 0) return [];
  const isAny = hostIp === '0.0.0.0' || hostIp === '::';
  return [{ family: hostIp.includes(':') ? 'ipv6' : 'ipv4', address: isAny ? null : hostIp, port: hostPort }];
}
