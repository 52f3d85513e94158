/** The name service's thread, which breaks when it is told of a network called `break`. */
import { parentPort, workerData } from 'node:worker_threads';
import { SystemClock } from '../../src/base/clock.ts';
import { createInternetCalls } from '../../src/engine/kernel/linux/internet-sockets.ts';
import { createNamespaceCalls } from '../../src/engine/kernel/linux/namespaces.ts';
import type { ServerOrder, ServerThreadData } from '../../src/engine/network/dns/messages.ts';
import { serveNames } from '../../src/engine/network/dns/serve-loop.ts';

if (parentPort === null) throw new Error('runs as a worker thread only');
serveNames(
  parentPort,
  { internet: createInternetCalls(), namespaces: createNamespaceCalls(), clock: new SystemClock() },
  workerData as ServerThreadData,
);
parentPort.on('message', (order: ServerOrder) => {
  if (order.kind !== 'views') return;
  if (order.views.some(([, view]) => view.networks.some(({ networkName }) => networkName === 'break'))) {
    throw new Error('broken by the test');
  }
});
