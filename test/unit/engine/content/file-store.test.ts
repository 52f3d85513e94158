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

  it('closes the file when a stream is given up', async () => {
    const { digest } = await store.put(Buffer.alloc(1_000_000));
    const before = await readdir('/proc/self/fd');
    const stream = await store.open(digest);
    stream.destroy();
    await new Promise((resolve) => stream.once('close', resolve));
    expect((await readdir('/proc/self/fd')).length).toBe(before.length);
  });
});
