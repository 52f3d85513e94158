/** The name service's thread: servers come and go by the engine's orders. */
import type { MessagePort } from 'node:worker_threads';
import type { Clock } from '../../../base/clock.ts';
import { messageOf } from '../../../base/errors.ts';
import type { InternetCalls } from '../../kernel/internet.ts';
import type { NamespaceCalls } from '../../kernel/kernel.ts';
import type { NamedEndpoint } from '../name-service.ts';
import { Allowance } from './forwarding.ts';
import type { ServerGround } from './forwarding.ts';
import { HostResolvConf } from './host-servers.ts';
import type { ListChange, ServerOrder, ServerReport, ServerThreadData } from './messages.ts';
import { SandboxServer } from './server.ts';
import { withLists } from './shared-lists.ts';
import { Wakes } from './wakes.ts';

/** What the thread's entry gives. */
export interface ServeParts {
  readonly internet: InternetCalls;
  readonly namespaces: Pick<NamespaceCalls, 'within'>;
  readonly clock: Clock;
}

/** Serves until it is told to end. */
export function serveNames(
  port: MessagePort,
  parts: ServeParts,
  { resolvConfPath, hostDomain }: ServerThreadData,
): void {
  const wakes = new Wakes(parts.internet);
  const ground: ServerGround = {
    ...parts,
    wakes,
    allowance: new Allowance(),
    hostDomain: hostDomain?.toLowerCase() ?? null,
  };
  const hostConf = new HostResolvConf(resolvConfPath);
  const servers = new Map<number, SandboxServer>();
  const lists = new Map<string, readonly NamedEndpoint[]>();
  const report = (message: ServerReport): void => port.postMessage(message);

  const hear = (changes: readonly ListChange[]): void => {
    for (const [networkName, endpoints] of changes) {
      if (endpoints === null) lists.delete(networkName);
      else lists.set(networkName, endpoints);
    }
  };
  const obey = (order: ServerOrder): void => {
    if (order.kind !== 'end') hear(order.lists);
    switch (order.kind) {
      case 'serve': {
        const { serial, sockets, view } = order;
        const server = new SandboxServer(ground, { sockets, view: withLists(view, lists) }, () => hostConf.current);
        servers.set(serial, server);
        break;
      }
      case 'views':
        for (const [serial, view] of order.views) {
          const server = servers.get(serial);
          if (server !== undefined) server.view = withLists(view, lists);
        }
        break;
      case 'stop':
        servers.get(order.serial)?.[Symbol.dispose]();
        servers.delete(order.serial);
        report({ kind: 'stopped', serial: order.serial });
        break;
      case 'end':
        for (const server of servers.values()) server[Symbol.dispose]();
        hostConf[Symbol.dispose]();
        wakes[Symbol.dispose]();
        port.close();
    }
  };
  port.on('message', (order: ServerOrder) => {
    try {
      obey(order);
    } catch (error) {
      report({ kind: 'warning', text: `name service: ${order.kind}: ${messageOf(error)}` });
    }
  });
}
