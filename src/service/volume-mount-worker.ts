/** Entry of a mount worker thread: one call that may wait for a disk or a server on the network. */
import { parentPort, workerData } from 'node:worker_threads';
import { createMountCalls } from '../engine/kernel/linux/mounts.ts';
import { runMountJob, type MountJob } from '../engine/volumes/mounter.ts';

if (parentPort === null) throw new Error('volume-mount-worker runs as a worker thread only');
parentPort.postMessage(runMountJob(createMountCalls(), workerData as MountJob));
