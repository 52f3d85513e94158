/** Entry of a layer worker thread: gives the storage room's worker loop the real file calls. */
import { parentPort } from 'node:worker_threads';
import { loadCodecs } from '../engine/kernel/linux/codecs.ts';
import { LinuxFiles } from '../engine/kernel/linux/files.ts';
import { LinuxTreeViews } from '../engine/kernel/linux/tree-views.ts';
import { serveLayerJobs } from '../engine/storage/layers/worker-loop.ts';

if (parentPort === null) throw new Error('layer-worker runs as a worker thread only');
const files = new LinuxFiles();
serveLayerJobs(parentPort, { files, codecs: loadCodecs(), views: new LinuxTreeViews(files) });
