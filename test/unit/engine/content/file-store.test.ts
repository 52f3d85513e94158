import { appendFile, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DataLossError } from '../../../../src/base/errors.ts';
import { FileContentStore } from '../../../../src/engine/content/file-store.ts';
import { digestOf } from '../../../../src/engine/oci/digest.ts';

describe('FileContentStore', () => {
  let root: string;
  let store: FileContentStore;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'content-unit-'));
    store = await FileContentStore.open(root);
  });
  afterEach(async () => rm(root, { recursive: true }));

  it('tells a damaged blob when it is read', async () => {
    const { digest } = await store.put(Buffer.from('config'));
    await writeFile(await store.pathOf(digest), 'c0nfig');
    await expect(store.read(digest)).rejects.toThrow(DataLossError);
  });

  it('heals a blob of wrong length when it is put again', async () => {
    const { digest } = await store.put(Buffer.from('config'));
    await writeFile(await store.pathOf(digest), '');
    await store.put(Buffer.from('config'));
    expect((await store.read(digest)).toString()).toBe('config');
  });

  it('counts on resume what is really in the file', async () => {
    {
      await using ingest = await store.ingest('layer');
      await ingest.write(Buffer.from('abc'));
    }
    const [name] = await readdir(join(root, 'ingest'));
    await appendFile(join(root, 'ingest', name!), 'def');
    await using ingest = await store.ingest('layer');
    expect(ingest.offset).toBe(6);
    expect((await ingest.commit()).digest).toBe(digestOf('abcdef'));
  });

  it('keeps refs of any length and shape within its directory', async () => {
    const ref = `../../${'x'.repeat(5000)}\0/é`;
    await using ingest = await store.ingest(ref);
    await ingest.write(Buffer.from('1'));
    const [name] = await readdir(join(root, 'ingest'));
    expect(name).toMatch(/^[A-Za-z0-9_-]{1,100}$/);
  });

  it('leaves no temporary file behind', async () => {
    await store.put(Buffer.from('config'));
    await using ingest = await store.ingest('layer');
    await ingest.commit();
    expect(await readdir(join(root, 'ingest'))).toEqual([]);
  });

  it('says what a blob really is', async () => {
    const { digest } = await store.put(Buffer.from('config'));
    expect(await store.examine(digest)).toEqual({ digest, sizeBytes: 6 });
    await writeFile(await store.pathOf(digest), 'c0nfig!');
    expect(await store.examine(digest)).toEqual({ digest: digestOf('c0nfig!'), sizeBytes: 7 });
    await store.remove(digest);
    expect(await store.examine(digest)).toBeNull();
  });

  it('stops an examination with the signal', async () => {
    const { digest } = await store.put(Buffer.alloc(1000));
    await expect(store.examine(digest, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
  });

  it('tells what is unfinished, and drops only what nobody holds', async () => {
    const held = await store.ingest('layer-held');
    {
      await using left = await store.ingest('layer-left');
      await left.write(Buffer.from('abc'));
    }
    const draft = await store.draft();
    await writeFile(join(root, 'ingest', 'put-0123'), 'x');
    const found = (await store.unfinished()).toSorted((a, b) => (a.name < b.name ? -1 : 1));
    expect(found.map(({ name, ...rest }) => [name.replace(/-[0-9a-f]+$/, ''), rest])).toEqual([
      ['draft', { sizeBytes: 0, writtenAt: expect.any(BigInt) as bigint, isHeld: true, isResumable: false }],
      ['layer-held', { sizeBytes: 0, writtenAt: expect.any(BigInt) as bigint, isHeld: true, isResumable: true }],
      ['layer-left', { sizeBytes: 3, writtenAt: expect.any(BigInt) as bigint, isHeld: false, isResumable: true }],
      ['put', { sizeBytes: 1, writtenAt: expect.any(BigInt) as bigint, isHeld: false, isResumable: false }],
    ]);
    const dropped = [];
    for (const { name } of found) if (await store.dropUnfinished(name)) dropped.push(name);
    expect(dropped.map((name) => name.replace(/-[0-9a-f]+$/, ''))).toEqual(['layer-left', 'put']);
    expect(await store.dropUnfinished(`../blobs/sha256/x`)).toBe(false);
    expect(await store.dropUnfinished('layer-gone')).toBe(false);
    expect(await store.abandon('layer-held')).toBe(false);
    await held[Symbol.asyncDispose]();
    expect([await store.abandon('layer-held'), await store.abandon('layer-held')]).toEqual([true, false]);
    await draft[Symbol.asyncDispose]();
  });

  it('closes the file when a stream is given up', async () => {
    const { digest } = await store.put(Buffer.alloc(1_000_000));
    const before = await readdir('/proc/self/fd');
    const stream = await store.open(digest);
    stream.destroy();
    await new Promise((resolve) => stream.once('close', resolve));
    expect((await readdir('/proc/self/fd')).length).toBe(before.length);
  });
});
