import type { BlobInfo } from '../content/store.ts';
import type { CheckRun } from './ground.ts';

/** Every blob from end to end: is it what its digest says? */
export async function checkBlobs(run: CheckRun): Promise<void> {
  const { content } = run.needs;
  const blobs: BlobInfo[] = [];
  for await (const blob of content.walk()) blobs.push(blob);
  for (const [index, { digest, sizeBytes }] of blobs.entries()) {
    run.progress('blobs', index, blobs.length);
    const actual = await content.examine(digest, run.options.signal);
    if (actual === null) continue;
    run.counts.blobs += 1;
    run.counts.blobBytes += actual.sizeBytes;
    if (actual.digest === digest) continue;
    run.badBlobs.add(digest);
    await run.report({
      kind: 'blob',
      subject: digest,
      problem: `its content is ${actual.digest}, ${String(actual.sizeBytes)} bytes`,
      sizeBytes,
      remedy: 'can be dropped; images that need it are brought again by a pull',
      mend: async () => {
        await content.remove(digest);
        return { outcome: 'repaired', remedy: 'dropped' };
      },
    });
  }
}
