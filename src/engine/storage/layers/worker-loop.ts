import type { MessagePort } from 'node:worker_threads';
import { EngineError, messageOf } from '../../../base/errors.ts';
import type { FileCalls } from '../../kernel/files.ts';
import { copyTree } from './copy-tree.ts';
import type { JobMessage, Outcome, WorkerMessage } from './job.ts';
import { NeedsParents } from './layer-writer.ts';
import { Cancelled, unpackBlob, type JobControl } from './unpack-blob.ts';

/** The whole life of a layer worker: one job after another, as {@link JobMessage}s come. */
export function serveLayerJobs(port: MessagePort, files: FileCalls): void {
  const send = (message: WorkerMessage): void => port.postMessage(message);
  port.on('message', (message: JobMessage) => {
    const cancelled = new Int32Array(message.cancelled);
    const control: JobControl = {
      progress: (readBytes) => send({ id: message.id, readBytes }),
      isCancelled: () => Atomics.load(cancelled, 0) !== 0,
    };
    void run(message, files, control).then((outcome) => send({ id: message.id, outcome }));
  });
}

async function run(message: JobMessage, files: FileCalls, control: JobControl): Promise<Outcome> {
  const { job } = message;
  try {
    switch (job.kind) {
      case 'unpack':
        return { kind: 'done', result: await unpackBlob(job, files, control) };
      case 'copy':
        copyTree(job, files, control);
        return { kind: 'done', result: null };
    }
  } catch (error) {
    if (error instanceof Cancelled) return { kind: 'cancelled' };
    if (error instanceof NeedsParents) return { kind: 'needs-parents' };
    return { kind: 'failed', error: error instanceof EngineError ? error.kind : 'internal', message: messageOf(error) };
  }
}
