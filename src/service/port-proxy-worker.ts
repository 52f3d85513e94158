/** Entry of the thread that leads callers of published ports to their containers where the packet filter cannot. */
import { parentPort } from 'node:worker_threads';
import { SystemClock } from '../base/clock.ts';
import { createInternetCalls } from '../engine/kernel/linux/internet-sockets.ts';
import { servePorts } from '../engine/network/ports/proxy/serve.ts';

if (parentPort === null) throw new Error('port-proxy-worker runs as a worker thread only');
servePorts(parentPort, { internet: createInternetCalls(), clock: new SystemClock() });
