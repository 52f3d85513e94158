/** A worker that does what a job's `blobPath` says, for tests of the pool. */
import { parentPort, threadId } from 'node:worker_threads';
import type { JobMessage, WorkerMessage } from '../../../../src/engine/storage/layers/job.ts';

/** The pool sets the word without waking those who wait on it. */
const POLL_MS = 5;

parentPort?.on('message', ({ id, job, cancelled }: JobMessage) => {
  const send = (message: WorkerMessage): void => parentPort?.postMessage(message);
  const script = job.kind === 'unpack' ? job.blobPath : job.kind === 'copy' ? job.from : '';
  const done = (): void =>
    send({ id, outcome: { kind: 'done', result: { diffId: String(threadId), sizeBytes: 0, warnings: [] } } });
  switch (script) {
    case 'crash':
      return process.exit(3);
    case 'throw':
      throw new Error('worker bug');
    case 'until cancelled':
      send({ id, readBytes: 1 });
      while (Atomics.wait(new Int32Array(cancelled), 0, 0, POLL_MS) === 'timed-out');
      send({ id, outcome: { kind: 'cancelled' } });
      break;
    case 'full':
      send({ id, outcome: { kind: 'failed', error: 'unavailable', message: 'no space left on device' } });
      break;
    default:
      done();
  }
});
