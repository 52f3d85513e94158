/** Entry of the name service's thread: gives the network room's servers the real sockets and namespaces. */
import { parentPort, workerData } from 'node:worker_threads';
import { SystemClock } from '../base/clock.ts';
import { createInternetCalls } from '../engine/kernel/linux/internet-sockets.ts';
import { createNamespaceCalls } from '../engine/kernel/linux/namespaces.ts';
import type { ServerThreadData } from '../engine/network/dns/messages.ts';
import { serveNames } from '../engine/network/dns/serve-loop.ts';

if (parentPort === null) throw new Error('dns-worker runs as a worker thread only');
serveNames(
  parentPort,
  { internet: createInternetCalls(), namespaces: createNamespaceCalls(), clock: new SystemClock() },
  workerData as ServerThreadData,
);
