import type { Attachment, OutputSink } from '../../src/engine/index.ts';

const CHUNK_BYTES = 32 * 1024;
const CHUNKS = 64;

/** What {@link reusingAttachment} writes, more than sockets hold. */
export const REUSED_OUTPUT: Buffer = Buffer.concat(Array.from({ length: CHUNKS }, (_, i) => chunkOf(i)));

/** An attachment whose source uses its one buffer again as soon as it may: when `write` has returned, or its promise settled. */
export function reusingAttachment(terminal: boolean): Attachment {
  return { terminal, run: ({ output }) => writeReusing(output) };
}

async function writeReusing(output: OutputSink): Promise<void> {
  const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  for (let i = 0; i < CHUNKS; i += 1) {
    const chunk = chunkOf(i);
    chunk.copy(buffer);
    const pending = output.write('stdout', buffer.subarray(0, chunk.length));
    if (pending instanceof Promise) await pending;
    buffer.fill('!');
  }
}

/** Short ones too: they take other ways. */
function chunkOf(index: number): Buffer {
  return Buffer.alloc(index % 3 === 0 ? 100 : CHUNK_BYTES, String.fromCharCode(0x41 + (index % 26)));
}
