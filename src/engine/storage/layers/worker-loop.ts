import type { MessagePort } from 'node:worker_threads';
import { EngineError, messageOf } from '../../../base/errors.ts';
import { deleteAtOnce } from '../delete-tree.ts';
import { makeDirectory } from './build/make-directory.ts';
import { placeSources } from './build/place.ts';
import { surveySources } from './build/survey.ts';
import { gatherTree } from './gather/gather-tree.ts';
import { receiveTree } from './gather/receive-tree.ts';
import { siftTree } from './gather/sift-tree.ts';
import { lookAt } from './view/look.ts';
import { readPath } from './view/read.ts';
import { writePath } from './view/write.ts';
import { compareTrees } from './pack/compare-trees.ts';
import { compressBlob } from './compress/compress-blob.ts';
import { copyTree } from './pack/copy-tree.ts';
import type { JobMessage, Outcome, WorkerMessage } from './job.ts';
import { measureTrees } from './measure/measure-trees.ts';
import { NeedsParents } from './unpack/layer-writer.ts';
import { makeSockets } from './pack/make-sockets.ts';
import { matchTrees } from './pack/match-trees.ts';
import { packLayer } from './pack/pack-layer.ts';
import { spendTree } from './pack/spend-tree.ts';
import { streamTree } from './pack/stream-tree.ts';
import { takeChanges } from './pack/take-changes.ts';
import type { LayerTools } from './tools.ts';
import { Cancelled, unpackBlob, type JobControl } from './unpack/unpack-blob.ts';

/** The whole life of a layer worker: one job after another, as {@link JobMessage}s come. */
export function serveLayerJobs(port: MessagePort, tools: LayerTools): void {
  const send = (message: WorkerMessage): void => port.postMessage(message);
  port.on('message', (message: JobMessage) => {
    const cancelled = new Int32Array(message.cancelled);
    const control: JobControl = {
      progress: (readBytes) => send({ id: message.id, readBytes }),
      send: (chunk) => port.postMessage({ id: message.id, chunk } satisfies WorkerMessage, [chunk.buffer]),
      isCancelled: () => Atomics.load(cancelled, 0) !== 0,
    };
    void run(message, tools, control).then((outcome) => send({ id: message.id, outcome }));
  });
}

async function run(message: JobMessage, tools: LayerTools, control: JobControl): Promise<Outcome> {
  const { job } = message;
  try {
    switch (job.kind) {
      case 'unpack':
        return { kind: 'done', result: await unpackBlob(job, tools, control) };
      case 'copy':
        copyTree(job, tools.files, control);
        return { kind: 'done', result: null };
      case 'delete':
        await deleteAtOnce(job.root);
        return { kind: 'done', result: null };
      case 'take':
        takeChanges(job, tools.files, control);
        return { kind: 'done', result: null };
      case 'compare':
        return { kind: 'done', result: compareTrees(job.source, tools.files, control).differences };
      case 'match':
        return { kind: 'done', result: matchTrees(job, tools.files, control) };
      case 'measure':
        return { kind: 'done', result: measureTrees(job.sources, tools.files, control) };
      case 'pack':
        return { kind: 'done', result: await packLayer(job, tools, control) };
      case 'spend':
        return { kind: 'done', result: await spendTree(job, tools, control) };
      case 'make-sockets':
        makeSockets(job, tools.files);
        return { kind: 'done', result: null };
      case 'stream':
        streamTree(job, tools.files, control);
        return { kind: 'done', result: null };
      case 'compress':
        return { kind: 'done', result: await compressBlob(job, tools, control) };
      case 'look':
        return { kind: 'done', result: lookAt(job, tools) };
      case 'read':
        return { kind: 'done', result: readPath(job, tools, control) };
      case 'write':
        return { kind: 'done', result: writePath(job, tools, control) };
      case 'receive':
        return { kind: 'done', result: await receiveTree(job, tools, control) };
      case 'gather':
        return { kind: 'done', result: gatherTree(job, tools, control) };
      case 'sift':
        return { kind: 'done', result: siftTree(job, tools, control) };
      case 'survey':
        return { kind: 'done', result: await surveySources(job, tools, control) };
      case 'place':
        return { kind: 'done', result: await placeSources(job, tools, control) };
      case 'make-directory':
        return { kind: 'done', result: makeDirectory(job, tools) };
    }
  } catch (error) {
    if (error instanceof Cancelled) return { kind: 'cancelled' };
    if (error instanceof NeedsParents) return { kind: 'needs-parents' };
    return { kind: 'failed', error: error instanceof EngineError ? error.kind : 'internal', message: messageOf(error) };
  }
}
