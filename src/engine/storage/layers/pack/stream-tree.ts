import type { FileCalls } from '../../../kernel/files.ts';
import type { StreamJob } from '../job.ts';
import { TarStream } from '../tar/stream.ts';
import { Cancelled, type JobControl } from '../unpack/unpack-blob.ts';
import { Scaffold } from '../tree/scaffold.ts';
import { mergedItems } from '../tree/walks.ts';
import { withoutScaffold } from './without-scaffold.ts';

/** Megabytes on their way: enough that neither side waits for the other's turn. */
const WINDOW = 4;
/** How often a worker that waits for its reader looks whether it is to stop. */
const LOOK_MS = 200;

/** Sends a tree as a tar, no faster than it is taken. */
export function streamTree(job: StreamJob, files: FileCalls, control: JobControl): void {
  const items = withoutScaffold(mergedItems(files, job.root, job.parents), new Scaffold(job.scaffold));
  sendChunks(new TarStream(files).chunks(items), job.waiting, control);
}

/** Sends copies of chunks, no faster than they are taken; `window` counts what is on its way. */
export function sendChunks(chunks: Iterable<Buffer>, window: SharedArrayBuffer, control: JobControl): void {
  const waiting = new Int32Array(window);
  for (const chunk of chunks) {
    for (let count = Atomics.load(waiting, 0); count >= WINDOW; count = Atomics.load(waiting, 0)) {
      if (control.isCancelled()) throw new Cancelled();
      Atomics.wait(waiting, 0, count, LOOK_MS);
    }
    if (control.isCancelled()) throw new Cancelled();
    Atomics.add(waiting, 0, 1);
    control.send(new Uint8Array(chunk));
  }
}
