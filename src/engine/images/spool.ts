/**
 * Takes a tar stream in whose entries may come in any order, so that it can be read by name afterwards: big entries
 * become blobs of the content store, small ones stay in memory. Nothing is written under a name of the archive's, so
 * that no name, link or device in it can do harm.
 */
import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract, type Header } from 'tar-stream';
import { errnoCodeOf, EngineError, InvalidArgumentError, messageOf } from '../../base/errors.ts';
import type { ContentStore } from '../content/store.ts';
import type { Digest } from '../oci/digest.ts';
import { decompressed, MAGIC_BYTES } from './magic.ts';

/** One file of the archive. */
export type SpooledFile =
  | { readonly kind: 'bytes'; readonly bytes: Buffer }
  | { readonly kind: 'blob'; readonly digest: Digest; readonly sizeBytes: number; readonly head: Buffer };

/** What the tar parser hands out. */
type Entry = Readable & { readonly header: Header };

type SpooledEntry = SpooledFile | { readonly kind: 'link'; readonly target: string };

/** Manifests and configs are smaller, layers mostly larger. */
const SMALL_FILE_BYTES = 256 * 1024;
/** What may lie in memory; beyond it small files are spooled like big ones. */
const MEMORY_BUDGET_BYTES = 32 * 1024 * 1024;
const MAX_ENTRIES = 100_000;
/** Links to links: more is a loop. */
const MAX_LINK_DEPTH = 16;

export class SpooledArchive {
  readonly #entries = new Map<string, SpooledEntry>();
  readonly #blobs: Digest[] = [];
  #inMemory = 0;

  /**
   * Reads the whole archive (gzip, zstd or plain), telling each blob it stores to `onBlob`. InvalidArgumentError in
   * Docker's words when it is no tar.
   */
  static async read(
    content: ContentStore,
    source: Readable,
    options: { readonly signal: AbortSignal; readonly onBlob: (digest: Digest) => Promise<void> },
  ): Promise<SpooledArchive> {
    const archive = new SpooledArchive();
    const parser = extract();
    const onAbort = (): void => void source.destroy(options.signal.reason as Error);
    options.signal.addEventListener('abort', onAbort, { once: true });
    let feeding: Promise<unknown> = Promise.resolve();
    try {
      options.signal.throwIfAborted();
      feeding = pipeline(await decompressed(source), parser).then(
        () => null,
        (fault: unknown) => fault,
      );
      for await (const entry of parser as unknown as AsyncIterable<Entry>)
        await archive.#take(content, entry, options.onBlob);
      return archive;
    } catch (error) {
      options.signal.throwIfAborted();
      // A parser whose source broke says only that it was destroyed; the source's fault is what the user must see.
      const isSecondary = messageOf(error) === 'Stream was destroyed';
      throw tarFault(isSecondary ? ((await feeding) ?? error) : error);
    } finally {
      options.signal.removeEventListener('abort', onAbort);
      source.destroy();
    }
  }

  /** The file of that name, through links; null when there is none. */
  get(name: string): SpooledFile | null {
    let at = normalize(name);
    for (let depth = 0; depth < MAX_LINK_DEPTH; depth += 1) {
      const entry = this.#entries.get(at);
      if (entry === undefined) return null;
      if (entry.kind !== 'link') return entry;
      at = entry.target;
    }
    return null;
  }

  /** Blobs that were made for this archive. */
  get blobs(): readonly Digest[] {
    return this.#blobs;
  }

  async #take(content: ContentStore, entry: Entry, onBlob: (digest: Digest) => Promise<void>): Promise<void> {
    if (this.#entries.size >= MAX_ENTRIES) throw new InvalidArgumentError('archive has too many entries');
    const { type, linkname } = entry.header;
    const name = normalize(entry.header.name);
    const size = entry.header.size;
    if (type === 'symlink' || type === 'link') {
      const base = type === 'symlink' ? posix.dirname(name) : '';
      this.#entries.set(name, { kind: 'link', target: normalize(posix.join('/', base, linkname)) });
      entry.resume();
    } else if (type !== 'file' && type !== 'contiguous-file') {
      entry.resume();
    } else if (size <= SMALL_FILE_BYTES && this.#inMemory + size <= MEMORY_BUDGET_BYTES) {
      this.#inMemory += size;
      this.#entries.set(name, { kind: 'bytes', bytes: await readWhole(entry) });
    } else {
      const file = await ingestStream(content, entry);
      await onBlob(file.digest);
      this.#blobs.push(file.digest);
      this.#entries.set(name, file);
    }
  }
}

/** Stores a stream as a blob under its own digest. Drops what was written when it fails. */
export async function ingestStream(
  content: ContentStore,
  source: AsyncIterable<unknown>,
): Promise<Extract<SpooledFile, { kind: 'blob' }>> {
  await using ingest = await content.ingest(`spool-${randomBytes(8).toString('hex')}`);
  let head = Buffer.alloc(0);
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      if (head.length < MAGIC_BYTES) head = Buffer.concat([head, chunk.subarray(0, MAGIC_BYTES)]);
      await ingest.write(chunk);
    }
    return { kind: 'blob', head, ...(await ingest.commit()) };
  } catch (error) {
    await ingest.discard();
    throw error;
  }
}

async function readWhole(entry: Entry): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of entry as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** `./a//b`, `/a/b` and `x/../a/b` are `a/b`; names above the root are pulled down to it. */
function normalize(name: string): string {
  return posix.normalize(`/${name}`).slice(1).replace(/\/$/, '');
}

/** A fault of the archive in dockerd's words; what the disk or the client did passes through. */
function tarFault(error: unknown): unknown {
  if (error instanceof EngineError) return error;
  const text = messageOf(error);
  const code = errnoCodeOf(error);
  const prefix = 'Error processing tar file(exit status 1): ';
  if (/invalid tar header|invalid checksum/i.test(text)) {
    return new InvalidArgumentError(`${prefix}archive/tar: invalid tar header`, { cause: error });
  }
  if (/unexpected end/i.test(text) || code === 'Z_BUF_ERROR') {
    return new InvalidArgumentError(`${prefix}unexpected EOF`, { cause: error });
  }
  if (code?.startsWith('Z_') === true || code?.startsWith('ZSTD_') === true) {
    return new InvalidArgumentError(`${prefix}${text}`, { cause: error });
  }
  return error;
}
