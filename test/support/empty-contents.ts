import { Readable } from 'node:stream';
import type { VolumeContents } from '../../src/engine/volumes/driver.ts';

/** Contents of volumes that hold nothing and keep nothing. */
export const emptyContents: VolumeContents = {
  measure: async () => 0,
  pack: () => Readable.from([Buffer.alloc(1024)], { objectMode: false }),
  receive: async (tar, { onProgress }) => {
    let sizeBytes = 0;
    for await (const chunk of tar as AsyncIterable<Buffer>) {
      sizeBytes += chunk.length;
      onProgress(sizeBytes);
    }
    return { path: '', sizeBytes, [Symbol.asyncDispose]: async () => undefined };
  },
  unpack: async () => undefined,
};
