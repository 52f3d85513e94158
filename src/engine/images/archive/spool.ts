/**
 * Takes a tar stream in whose entries may come in any order, so that it can be read by name afterwards: big entries
 * become drafts of the content store, small ones stay in memory. Nothing is written under a name of the archive's, so
 * that no name, link or device in it can do harm.
 */
import { posix } from 'node:path';
import type { Readable } from 'node:stream';
import { EngineError, errnoCodeOf, InvalidArgumentError, messageOf } from '../../../base/errors.ts';
import type { BlobInfo, ContentStore, Draft } from '../../content/store.ts';
import { digestOf, isDigest, type Digest } from '../../oci/digest.ts';
import { readable, TarReader, type TarEntry, type TarSink } from '../../storage/tar.ts';
import { decompressed, MAGIC_BYTES } from '../magic.ts';
import { SpoolWriter, type SpooledBytes } from './spool-file.ts';

/** One file of the archive. */
export type SpooledFile =
  | { readonly kind: 'bytes'; readonly bytes: Buffer }
  | {
      readonly kind: 'blob';
      readonly digest: Digest;
      readonly sizeBytes: number;
      /** Its first bytes: they tell the compression. */
      readonly head: Buffer;
      /** Where the bytes are until they are stored; null when the store had the blob already. */
      readonly draft: Draft | null;
    };

type SpooledEntry = SpooledFile | { readonly kind: 'link'; readonly target: string };

/** Manifests and configs are smaller, layers mostly larger. */
const SMALL_FILE_BYTES = 256 * 1024;
/** What may lie in memory; beyond it small files are spooled like big ones. */
const MEMORY_BUDGET_BYTES = 32 * 1024 * 1024;
const MAX_ENTRIES = 100_000;
/** Links to links: more is a loop. */
const MAX_LINK_DEPTH = 16;
const BLOB_NAME = /^blobs\/sha256\/([0-9a-f]{64})$/;

export interface SpoolOptions {
  readonly signal: AbortSignal;
  /** Called for a blob of the store that is used in place of the archive's, to keep it from removal. */
  readonly keep: (digest: Digest) => Promise<void>;
}

/** An archive that was read. Disposing deletes what was not stored. */
export class SpooledArchive implements AsyncDisposable {
  readonly #content: ContentStore;
  readonly #options: SpoolOptions;
  readonly #entries = new Map<string, SpooledEntry>();
  readonly #drafts = new AsyncDisposableStack();
  readonly #stored = new Map<Draft, Promise<void>>();
  #inMemory = 0;

  private constructor(content: ContentStore, options: SpoolOptions) {
    this.#content = content;
    this.#options = options;
  }

  /** Reads the whole archive (gzip, zstd or plain). InvalidArgumentError in Docker's words when it is no tar. */
  static async read(content: ContentStore, source: Readable, options: SpoolOptions): Promise<SpooledArchive> {
    const archive = new SpooledArchive(content, options);
    const onAbort = (): void => void source.destroy(options.signal.reason as Error);
    options.signal.addEventListener('abort', onAbort, { once: true });
    try {
      options.signal.throwIfAborted();
      await archive.#readFrom(await decompressed(source));
      return archive;
    } catch (error) {
      await archive[Symbol.asyncDispose]();
      options.signal.throwIfAborted();
      throw tarFault(error);
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

  /** The file of that name. InvalidArgumentError when there is none. */
  mustHave(name: string): SpooledFile {
    const file = this.get(name);
    if (file === null) throw new InvalidArgumentError(`invalid archive: ${name} is missing`);
    return file;
  }

  /** The whole of a file that is to be read as JSON. InvalidArgumentError when there is none, or it is too large for that. */
  readSmall(name: string): Buffer {
    const file = this.mustHave(name);
    if (file.kind === 'bytes') return file.bytes;
    throw new InvalidArgumentError(`invalid archive: ${name} is too large`);
  }

  /** Where the bytes of a file lie now; it moves when the file is stored. */
  async pathOf(file: SpooledFile): Promise<string> {
    if (file.kind === 'bytes') return this.#content.pathOf((await this.#content.put(file.bytes)).digest);
    const { draft, digest } = file;
    return draft === null || this.#stored.has(draft) ? this.#content.pathOf(digest) : draft.path;
  }

  /** Makes a file a blob of the store. The caller has pinned its digest; doing it again is harmless. */
  async store(file: SpooledFile): Promise<BlobInfo> {
    if (file.kind === 'bytes') return this.#content.put(file.bytes);
    const { draft, digest, sizeBytes } = file;
    if (draft !== null) {
      const storing = this.#stored.get(draft) ?? draft.publish({ digest, sizeBytes });
      this.#stored.set(draft, storing);
      await storing;
    }
    return { digest, sizeBytes };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#drafts.disposeAsync();
  }

  async #readFrom(source: AsyncIterable<Buffer>): Promise<void> {
    const members = new MemberQueue();
    const reader = new TarReader(members);
    await using taker = new MemberTaker(async (entry) => this.#begin(entry));
    for await (const chunk of source) {
      reader.push(chunk);
      for (const step of members.take()) await taker.take(step);
    }
    reader.finish();
    for (const step of members.take()) await taker.take(step);
  }

  /** Where the data of a member goes; null: nowhere. */
  async #begin(entry: TarEntry): Promise<Member | null> {
    if (this.#entries.size >= MAX_ENTRIES) throw new InvalidArgumentError('archive has too many entries');
    const name = normalize(readable(entry.name));
    if (entry.type === 'symlink' || entry.type === 'hardlink') {
      const base = entry.type === 'symlink' ? posix.dirname(name) : '';
      const target = normalize(posix.join('/', base, readable(entry.linkName)));
      this.#entries.set(name, { kind: 'link', target });
      return null;
    }
    if (entry.type !== 'file') return null;
    if (entry.sparse !== null)
      throw new InvalidArgumentError(`${name}: sparse files are not supported in an image archive`);
    const { sizeBytes } = entry;
    if (sizeBytes <= SMALL_FILE_BYTES && this.#inMemory + sizeBytes <= MEMORY_BUDGET_BYTES) {
      this.#inMemory += sizeBytes;
      return new MemoryMember((bytes) => this.#entries.set(name, { kind: 'bytes', bytes }));
    }
    const known = await this.#known(name, sizeBytes);
    if (known !== null) {
      this.#entries.set(name, known);
      return null;
    }
    const draft = this.#drafts.use(await this.#content.draft());
    const writer = await SpoolWriter.open(draft);
    return new DraftMember(writer, (written) => this.#entries.set(name, { kind: 'blob', draft, ...written }));
  }

  /** A blob of an OCI layout that the store has already: not a byte of it need be written. */
  async #known(name: string, sizeBytes: number): Promise<SpooledFile | null> {
    const digest = `sha256:${BLOB_NAME.exec(name)?.[1] ?? ''}`;
    if (!isDigest(digest)) return null;
    if ((await this.#content.stat(digest)) === null) return null;
    await this.#options.keep(digest);
    // It may have gone before it was kept.
    const info = await this.#content.stat(digest);
    if (info?.sizeBytes !== sizeBytes) return null;
    return { kind: 'blob', digest, sizeBytes, head: await headOf(this.#content, digest), draft: null };
  }
}

/** The digest of a spooled file. */
export function spooledDigest(file: SpooledFile): Digest {
  return file.kind === 'blob' ? file.digest : digestOf(file.bytes);
}

/** Takes the data of one member. */
interface Member extends AsyncDisposable {
  write(chunk: Buffer): void | Promise<void>;
  end(): void | Promise<void>;
}

class MemoryMember implements Member {
  readonly #chunks: Buffer[] = [];
  readonly #done: (bytes: Buffer) => void;

  constructor(done: (bytes: Buffer) => void) {
    this.#done = done;
  }

  write(chunk: Buffer): void {
    this.#chunks.push(chunk);
  }

  /** Copies, so that a small file does not keep the large chunk it came in. */
  end(): void {
    this.#done(Buffer.concat(this.#chunks));
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

class DraftMember implements Member {
  readonly #writer: SpoolWriter;
  readonly #done: (written: SpooledBytes) => void;

  constructor(writer: SpoolWriter, done: (written: SpooledBytes) => void) {
    this.#writer = writer;
    this.#done = done;
  }

  async write(chunk: Buffer): Promise<void> {
    await this.#writer.write(chunk);
  }

  async end(): Promise<void> {
    this.#done(await this.#writer.finish());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer[Symbol.asyncDispose]();
  }
}

type Step =
  | { readonly kind: 'entry'; readonly entry: TarEntry }
  | { readonly kind: 'data'; readonly chunk: Buffer }
  | { readonly kind: 'end' };

/** What the reader found in one chunk: it calls synchronously, and writing is not. */
class MemberQueue implements TarSink {
  #steps: Step[] = [];

  entry(entry: TarEntry): void {
    this.#steps.push({ kind: 'entry', entry });
  }

  data(chunk: Buffer): void {
    this.#steps.push({ kind: 'data', chunk });
  }

  end(): void {
    this.#steps.push({ kind: 'end' });
  }

  take(): readonly Step[] {
    const steps = this.#steps;
    this.#steps = [];
    return steps;
  }
}

/** Leads each member's data to where it goes. */
class MemberTaker implements AsyncDisposable {
  readonly #begin: (entry: TarEntry) => Promise<Member | null>;
  #member: Member | null = null;

  constructor(begin: (entry: TarEntry) => Promise<Member | null>) {
    this.#begin = begin;
  }

  async take(step: Step): Promise<void> {
    switch (step.kind) {
      case 'entry':
        this.#member = await this.#begin(step.entry);
        return;
      case 'data':
        await this.#member?.write(step.chunk);
        return;
      case 'end':
        await this.#member?.end();
        await this[Symbol.asyncDispose]();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const member = this.#member;
    this.#member = null;
    await member?.[Symbol.asyncDispose]();
  }
}

async function headOf(content: ContentStore, digest: Digest): Promise<Buffer> {
  for await (const chunk of (await content.open(digest)) as AsyncIterable<Buffer>)
    return chunk.subarray(0, MAGIC_BYTES);
  return Buffer.alloc(0);
}

/** `./a//b`, `/a/b` and `x/../a/b` are `a/b`; names above the root are pulled down to it. */
function normalize(name: string): string {
  return posix.normalize(`/${name}`).slice(1).replace(/\/$/, '');
}

/** A fault of the archive in dockerd's words; what the disk or the client did passes through. */
function tarFault(error: unknown): unknown {
  const text = messageOf(error);
  const code = errnoCodeOf(error);
  const prefix = 'Error processing tar file(exit status 1): ';
  if (error instanceof InvalidArgumentError && /^(archive\/tar: |unexpected EOF|unhandled tar)/.test(text)) {
    return new InvalidArgumentError(`${prefix}${text}`, { cause: error });
  }
  if (error instanceof EngineError) return error;
  if (code === 'Z_BUF_ERROR') return new InvalidArgumentError(`${prefix}unexpected EOF`, { cause: error });
  if (code?.startsWith('Z_') === true || code?.startsWith('ZSTD_') === true) {
    return new InvalidArgumentError(`${prefix}${text}`, { cause: error });
  }
  return error;
}
