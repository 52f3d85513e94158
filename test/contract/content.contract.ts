import { randomBytes } from 'node:crypto';
import { access, writeFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConflictError, DataLossError, NotFoundError } from '../../src/base/errors.ts';
import type { ContentStore } from '../../src/engine/content/store.ts';
import { digestOf } from '../../src/engine/oci/digest.ts';

/** How a content store under test is made. `reopen` is what a restarted daemon does. */
export interface ContentStoreHarness {
  readonly store: ContentStore;
  reopen(): Promise<ContentStore>;
  dispose(): Promise<void>;
}

const bytes = randomBytes(700_000);
const digest = digestOf(bytes);

/** What every content store does. */
export function describeContentStore(name: string, make: () => Promise<ContentStoreHarness>): void {
  describe(`content store: ${name}`, () => {
    let harness: ContentStoreHarness;
    let store: ContentStore;

    beforeEach(async () => {
      harness = await make();
      store = harness.store;
    });
    afterEach(async () => harness.dispose());

    async function* inPieces(size: number): AsyncGenerator<Buffer> {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
    }

    async function ingestAll(ref: string): Promise<void> {
      await using ingest = await store.ingest(ref);
      for await (const piece of inPieces(65_536)) await ingest.write(piece);
      await ingest.commit({ digest, sizeBytes: bytes.length });
    }

    it('shows a blob only after its commit', async () => {
      await using ingest = await store.ingest('layer');
      await ingest.write(bytes);
      expect(await store.stat(digest)).toBeNull();
      await expect(store.open(digest)).rejects.toThrow(NotFoundError);
      expect(await Array.fromAsync(store.walk())).toEqual([]);

      expect(await ingest.commit({ digest, sizeBytes: bytes.length })).toEqual({ digest, sizeBytes: bytes.length });
      expect(await store.stat(digest)).toEqual({ digest, sizeBytes: bytes.length });
      expect(await Array.fromAsync(store.walk())).toEqual([{ digest, sizeBytes: bytes.length }]);
      expect(await buffer(await store.open(digest))).toEqual(bytes);
    });

    it('makes a blob of a draft that somebody else has written', async () => {
      {
        await using draft = await store.draft();
        await writeFile(draft.path, bytes);
        expect(await store.stat(digest)).toBeNull();
        await draft.publish({ digest, sizeBytes: bytes.length });
      }
      expect(await buffer(await store.open(digest))).toEqual(bytes);
    });

    it('drops a draft that is disposed of, or shorter than was said', async () => {
      const draft = await store.draft();
      await writeFile(draft.path, bytes.subarray(1));
      await expect(draft.publish({ digest, sizeBytes: bytes.length })).rejects.toThrow(DataLossError);
      await draft[Symbol.asyncDispose]();
      await expect(access(draft.path)).rejects.toThrow('ENOENT');
      expect(await Array.fromAsync(store.walk())).toEqual([]);
    });

    it('streams from an offset', async () => {
      await ingestAll('layer');
      expect(await buffer(await store.open(digest, { offset: 699_990 }))).toEqual(bytes.subarray(699_990));
      expect(await buffer(await store.open(digest, { offset: 700_000 }))).toHaveLength(0);
    });

    it('resumes where a disposed ingest ended, in the same process and after a restart', async () => {
      {
        await using first = await store.ingest('layer');
        await first.write(bytes.subarray(0, 300_000));
      }
      {
        await using second = await store.ingest('layer');
        expect(second.offset).toBe(300_000);
        await second.write(bytes.subarray(300_000, 600_000));
      }
      store = await harness.reopen();
      await using third = await store.ingest('layer');
      expect(third.offset).toBe(600_000);
      await third.write(bytes.subarray(600_000));
      expect((await third.commit({ digest })).sizeBytes).toBe(bytes.length);
    });

    it('keeps refs apart that differ only in characters a file name cannot have', async () => {
      await using one = await store.ingest('a/b');
      await using other = await store.ingest('a:b');
      await one.write(Buffer.from('one'));
      expect(other.offset).toBe(0);
      expect((await other.commit()).digest).toBe(digestOf(''));
    });

    it('gives a ref to one writer at a time', async () => {
      const first = await store.ingest('layer');
      await expect(store.ingest('layer')).rejects.toThrow(ConflictError);
      await first[Symbol.asyncDispose]();
      await using second = await store.ingest('layer');
      expect(second.offset).toBe(0);
    });

    it('drops bytes that are not what their digest says', async () => {
      const wrong = digestOf('something else');
      await using ingest = await store.ingest('layer');
      await ingest.write(bytes);
      await expect(ingest.commit({ digest: wrong })).rejects.toThrow(DataLossError);
      expect(await store.stat(wrong)).toBeNull();
      await using again = await store.ingest('layer');
      expect(again.offset).toBe(0);
    });

    it('drops bytes that are fewer or more than expected', async () => {
      await using ingest = await store.ingest('layer');
      await ingest.write(bytes);
      await expect(ingest.commit({ digest, sizeBytes: bytes.length + 1 })).rejects.toThrow(
        'unexpected commit size 700000, expected 700001',
      );
      expect(await store.stat(digest)).toBeNull();
    });

    it('forgets a discarded ingest', async () => {
      {
        await using ingest = await store.ingest('layer');
        await ingest.write(bytes);
        await ingest.discard();
        await expect(ingest.write(bytes)).rejects.toThrow(ConflictError);
      }
      await using again = await store.ingest('layer');
      expect(again.offset).toBe(0);
    });

    it('takes the same blob twice', async () => {
      await ingestAll('layer');
      await ingestAll('layer');
      expect(await Array.fromAsync(store.walk())).toHaveLength(1);
    });

    it('puts and reads small blobs', async () => {
      const info = await store.put(Buffer.from('{}'));
      expect(info).toEqual({ digest: digestOf('{}'), sizeBytes: 2 });
      expect(await store.put(Buffer.from('{}'))).toEqual(info);
      expect((await store.read(info.digest)).toString()).toBe('{}');
      await expect(store.read(digest)).rejects.toThrow(NotFoundError);
    });

    it('publishes without waiting for the disk, and makes up for it', async () => {
      const bytes = Buffer.from('a layer');
      const written = { digest: digestOf(bytes), sizeBytes: bytes.length };
      for (let count = 0; count < 2; count += 1) {
        await using draft = await store.draft();
        await writeFile(draft.path, bytes);
        await draft.publish(written, { isLasting: false });
      }
      await store.sync([written.digest, written.digest]);
      await store.sync([]);
      expect(await store.read(written.digest)).toEqual(bytes);
      expect(await store.unfinished()).toEqual([]);
      await expect(store.sync([digestOf('nothing')])).rejects.toThrow(NotFoundError);
    });

    it('puts many small blobs at once, also without waiting for the disk', async () => {
      const all = ['{"a":1}', '{"b":2}', '{"a":1}'].map((text) => Buffer.from(text));
      await store.putAll(all, { isLasting: false });
      await store.putAll(all, { isLasting: true });
      for (const bytes of all) expect(await store.read(digestOf(bytes))).toEqual(bytes);
      expect(await store.unfinished()).toEqual([]);
    });

    it('names the file of a blob', async () => {
      await expect(store.pathOf(digest)).rejects.toThrow(NotFoundError);
      await ingestAll('layer');
      expect(await store.pathOf(digest)).toContain(digest.slice('sha256:'.length));
    });

    it('removes a blob once', async () => {
      await ingestAll('layer');
      expect(await store.remove(digest)).toBe(true);
      expect(await store.remove(digest)).toBe(false);
      expect(await store.stat(digest)).toBeNull();
    });
  });
}
