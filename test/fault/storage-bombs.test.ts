/** Archives that grow without end when they are unpacked: time, memory and the disk must have their limits. */
import { createGzip } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { leftovers, makeTestStorage, type TestStorage } from '../support/layers.ts';
import { memberOf, tarOf } from '../support/tar-builder.ts';

const MIB = 1024 * 1024;

/** Packs what a generator gives, which may be much. */
async function gzipped(chunks: Iterable<Buffer>): Promise<Buffer> {
  const gzip = createGzip({ level: 1 });
  const parts: Buffer[] = [];
  gzip.on('data', (part: Buffer) => parts.push(part));
  for (const chunk of chunks) await new Promise<void>((resolve) => gzip.write(chunk, () => resolve()));
  const { promise, resolve } = Promise.withResolvers<void>();
  gzip.on('end', resolve);
  gzip.end();
  await promise;
  return Buffer.concat(parts);
}

function* repeated(chunk: Buffer, times: number): Generator<Buffer> {
  for (let i = 0; i < times; i++) yield chunk;
}

/** How much more memory this process (its workers are in it) had at most while the job ran. */
async function growthOf(job: () => Promise<unknown>): Promise<number> {
  const before = process.memoryUsage.rss();
  let most = before;
  const timer = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 10);
  try {
    await job();
  } finally {
    clearInterval(timer);
  }
  return most - before;
}

async function refusal(storage: TestStorage, blob: Buffer): Promise<string> {
  const failure: unknown = await storage.layers
    .unpack({ blobPath: storage.blob(blob), parent: null, diffId: null })
    .catch((error: unknown) => error);
  expect(await leftovers(storage)).toEqual({ snapshots: [], mounts: [] });
  return failure instanceof Error ? failure.message : 'no error';
}

describe('bombs', () => {
  it('reads a gigabyte of nothing behind an archive in little memory', async () => {
    await using storage = await makeTestStorage('overlay2');
    const blob = await gzipped([tarOf([{ name: 'file', data: 'x' }]), ...repeated(Buffer.alloc(MIB), 1024)]);
    expect(blob.length).toBeLessThan(8 * MIB);
    const growth = await growthOf(async () => {
      const layer = await storage.layers.unpack({ blobPath: storage.blob(blob), parent: null, diffId: null });
      expect(layer.sizeBytes).toBe(1);
    });
    expect(growth / MIB).toBeLessThan(120);
  });

  it('stops in the middle of one when it is told to', async () => {
    await using storage = await makeTestStorage('overlay2');
    const blob = await gzipped(repeated(Buffer.alloc(MIB), 2048));
    const stop = new AbortController();
    const unpacking = storage.layers.unpack({
      blobPath: storage.blob(blob),
      parent: null,
      diffId: null,
      signal: stop.signal,
      onProgress: () => stop.abort(new Error('enough')),
    });
    await expect(unpacking).rejects.toThrow('enough');
    expect(await leftovers(storage)).toEqual({ snapshots: [], mounts: [] });
  });

  it('keeps one extended header of thousands that have no member', async () => {
    await using storage = await makeTestStorage('overlay2');
    const headers = function* (): Generator<Buffer> {
      for (let i = 0; i < 700; i++)
        yield memberOf({ name: 'pax', type: 'x', data: paxRecord(`SCHILY.xattr.user.k${String(i)}`, MIB - 200) });
      yield tarOf([{ name: 'file', data: 'x' }]);
    };
    const blob = await gzipped(headers());
    // The last one has an attribute that no file system takes.
    const growth = await growthOf(async () => expect(await refusal(storage, blob)).toMatch(/lsetxattr \/file: /));
    expect(growth / MIB).toBeLessThan(200);
  });

  it('refuses a path deeper than any program can name', async () => {
    await using storage = await makeTestStorage('overlay2');
    const path = Array.from({ length: 5000 }, () => 'd').join('/');
    const text = await refusal(storage, tarOf([{ name: 'x', pax: { path }, data: 'deep' }]));
    expect(text).toMatch(/^Error processing tar file\(exit status 1\): open \/(d\/){50}…: file name too long$/);
  });
});

function paxRecord(key: string, length: number): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.alloc(length, 0x61), Buffer.from('\n')]);
  const digits = String(rest.length + 7);
  return Buffer.concat([Buffer.from(digits.padStart(7, '0')), rest]);
}
