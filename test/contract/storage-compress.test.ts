import { spawnSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { InternalError, UnavailableError } from '../../src/base/errors.ts';
import { digestOf } from '../../src/engine/oci/digest.ts';
import { compress } from '../../src/engine/storage/layers/compress/compress.ts';
import { makeTestStorage } from '../support/layers.ts';

const MIB = 1024 * 1024;

describe('compressing a plain layer', () => {
  it('makes gzip of it, says digest and size, and how far it is', async () => {
    await using storage = await makeTestStorage('overlay2');
    const plain = Buffer.alloc(5 * MIB + 77, 'some words of a layer ');
    const plainPath = storage.blob(plain);
    const blobPath = storage.blob(Buffer.alloc(0));
    const progress: number[] = [];
    const written = await compress(storage.workers, {
      plainPath,
      blobPath,
      onProgress: (bytes) => progress.push(bytes),
    });
    const blob = readFileSync(blobPath);
    expect(written).toEqual({ digest: digestOf(blob), sizeBytes: blob.length });
    expect(blob.length).toBeLessThan(MIB);
    expect(spawnSync('gzip', ['-dc'], { input: blob, maxBuffer: 8 * MIB }).stdout.equals(plain)).toBe(true);
    expect([progress.length > 10, progress.at(-1)]).toEqual([true, plain.length]);
    expect(progress).toEqual(progress.toSorted((a, b) => a - b));
  });

  it('gives the same blob for the same layer', async () => {
    await using storage = await makeTestStorage('overlay2');
    const plainPath = storage.blob(readFileSync('/bin/busybox'));
    const blobs = [storage.blob(Buffer.alloc(0)), storage.blob(Buffer.alloc(0))];
    const written = await Promise.all(blobs.map((blobPath) => compress(storage.workers, { plainPath, blobPath })));
    expect(written[0]).toEqual(written[1]);
  });

  it('stops when it is told to', async () => {
    await using storage = await makeTestStorage('overlay2');
    const stop = new AbortController();
    const plainPath = storage.blob(Buffer.alloc(40 * MIB, 'words '));
    const compressing = compress(storage.workers, {
      plainPath,
      blobPath: storage.blob(Buffer.alloc(0)),
      onProgress: () => stop.abort(new Error('enough')),
      signal: stop.signal,
    });
    await expect(compressing).rejects.toThrow('enough');
    const again = storage.blob(Buffer.alloc(0));
    await compress(storage.workers, { plainPath, blobPath: again });
    expect(statSync(again).size).toBeGreaterThan(0);
  });

  it('says when the disk is full, and when there is nothing to compress', async () => {
    await using storage = await makeTestStorage('overlay2');
    const plainPath = storage.blob(readFileSync('/bin/busybox'));
    await expect(compress(storage.workers, { plainPath, blobPath: '/dev/full' })).rejects.toThrow(
      new UnavailableError('write /dev/full: no space left on device'),
    );
    const missing = join(storage.root, 'missing');
    await expect(compress(storage.workers, { plainPath: missing, blobPath: plainPath })).rejects.toThrow(InternalError);
    writeFileSync(missing, '');
    await expect(
      compress(storage.workers, { plainPath: missing, blobPath: join(storage.root, 'nowhere') }),
    ).rejects.toThrow(/nowhere/);
  });
});
