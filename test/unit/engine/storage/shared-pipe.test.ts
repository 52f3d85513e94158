import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { PipeWriter, readPipe, sharedPipe } from '../../../../src/engine/storage/layers/view/shared-pipe.ts';

const PIPE = new URL('../../../../src/engine/storage/layers/view/shared-pipe.ts', import.meta.url).href;
/** Reads to the end and tells how much there was and whether it was in order. */
const READER = `
const { parentPort, workerData } = require('node:worker_threads');
import(workerData.pipe).then(({ readPipe }) => {
  let bytes = 0, inOrder = true;
  for (const chunk of readPipe(workerData.memory, () => {})) {
    for (let i = 0; i < chunk.length; i += 997) if (chunk[i] !== (bytes + i) % 251) inOrder = false;
    bytes += chunk.length;
  }
  parentPort.postMessage({ bytes, inOrder });
});`;

function numbered(from: number, length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, index) => (from + index) % 251));
}

describe('a shared pipe', () => {
  it('carries more than it holds, in order', async () => {
    const memory = sharedPipe();
    const writer = new PipeWriter(memory);
    const worker = new Worker(READER, { eval: true, workerData: { memory, pipe: PIPE } });
    const told = new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    let sent = 0;
    for (const length of [1, 70_000, 3_000_001, 2_500_000, 5_000_000, 3]) {
      expect(await writer.write(numbered(sent, length))).toBe(true);
      sent += length;
    }
    writer.end();
    expect(await told).toEqual({ bytes: sent, inOrder: true });
    await worker.terminate();
  });

  it('ends at once when nothing comes, and lets its reader stop', () => {
    const memory = sharedPipe();
    const writer = new PipeWriter(memory);
    const stop = (): never => {
      throw new Error('asked to stop');
    };
    expect(() => [...readPipe(memory, stop)]).toThrow('asked to stop');
    writer.end();
    expect([...readPipe(memory, () => undefined)]).toEqual([]);
  });

  it('tells its writer that nobody reads any more', async () => {
    const writer = new PipeWriter(sharedPipe());
    const written = writer.write(Buffer.alloc(8 * 1024 * 1024));
    writer.abandon();
    expect(await written).toBe(false);
  });
});
