/**
 * Brings one blob into the content store: resumes where a cut link or a killed daemon left it, tries again while the
 * registry may come back, verifies. Progress in Docker's words.
 */
import type { Readable } from 'node:stream';
import type { Clock } from '../../../base/clock.ts';
import type { EngineError } from '../../../base/errors.ts';
import { DataLossError, messageOf, UnavailableError } from '../../../base/errors.ts';
import { shortId } from '../../../base/ids.ts';
import type { Ingest } from '../../content/store.ts';
import type { Descriptor } from '../../oci/image-spec.ts';
import type { NamedReference } from '../../oci/reference.ts';
import { BusyRegistryError } from '../../registry/busy-registry-error.ts';
import type { RequestOptions } from '../../registry/client.ts';
import type { ImageContext } from '../context.ts';
import { bareFault, linkFault } from './link-fault.ts';
import { ProgressMeter } from '../progress.ts';
import type { ProgressSink } from '../types.ts';

export interface DownloadOptions extends RequestOptions {
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

/** The link broke: worth another attempt. */
class LinkFailure extends Error {
  readonly error: EngineError;
  /** Somebody else is asked next: there is nothing to wait for. */
  readonly isAtOnce: boolean;

  constructor(error: EngineError, isAtOnce = false) {
    super(error.message, { cause: error });
    this.error = error;
    this.isAtOnce = isAtOnce;
  }
}

/** dockerd waits this long before the second attempt, twice as long before the third … */
const RETRY_STEP_SECONDS = 5;
/** A registry that asks for more patience than this (a pull limit of hours) is answered as an error at once. */
const LONGEST_WAIT_SECONDS = 120;
/** An attempt that brought this much, or this part of the blob, is no reason to give up: a bad link still gets there. */
const FRUITFUL_BYTES = 1024 * 1024;
const FRUITFUL_PART = 0.01;
/** A link that brings less than this in this time is as good as dead. */
const SLOWEST_BYTES = 16 * 1024;
const SLOWEST_MS = 60_000;

/**
 * Downloads a blob unless it is there; says whether it did. Whoever asks for the same blob meanwhile waits for it.
 * `again` replaces one that is there, since it proved to be bad.
 */
export async function downloadBlob(
  context: ImageContext,
  reference: NamedReference,
  descriptor: Descriptor,
  options: DownloadOptions & { readonly again?: boolean },
): Promise<boolean> {
  const id = shortId(descriptor.digest);
  const download = async (): Promise<boolean> => {
    const present = await context.content.stat(descriptor.digest);
    if (present?.sizeBytes === descriptor.size && options.again !== true) return false;
    if (context.downloads.isFull) options.progress({ status: 'Waiting', id });
    using _place = await context.downloads.enter(options.signal);
    await attemptUntilDone(context, reference, descriptor, options);
    return true;
  };
  const wasMissing = await context.blobLock.hold(descriptor.digest, download, options.signal);
  options.progress({ status: 'Download complete', id });
  return wasMissing;
}

/** Drops what a cut download left of blobs that have come another way: nobody would take it up again. */
export async function dropHalves({ content, logger }: ImageContext, descriptors: readonly Descriptor[]): Promise<void> {
  for (const descriptor of descriptors) {
    try {
      await content.abandon(ingestRefOf(descriptor));
    } catch (error) {
      // It goes when it has become old.
      logger.warn('half a download could not be removed', { digest: descriptor.digest, error: messageOf(error) });
    }
  }
}

function ingestRefOf({ digest }: Descriptor): string {
  return `layer-${digest}`;
}

async function attemptUntilDone(
  context: ImageContext,
  reference: NamedReference,
  descriptor: Descriptor,
  options: DownloadOptions,
): Promise<void> {
  let fruitless = 0;
  for (;;) {
    let gained = 0;
    try {
      await attempt(context, reference, descriptor, options, (bytes) => (gained += bytes));
      return;
    } catch (error) {
      options.signal.throwIfAborted();
      if (!(error instanceof LinkFailure)) throw error;
      if (error.isAtOnce) continue;
      const isFruitful = gained >= Math.min(FRUITFUL_BYTES, descriptor.size * FRUITFUL_PART) && gained > 0;
      fruitless = isFruitful ? 1 : fruitless + 1;
      // dockerd counts the attempts after the first.
      if (fruitless > context.limits.maxDownloadAttempts) throw error.error;
      const askedSeconds = error.error instanceof BusyRegistryError ? (error.error.retryAfterMs ?? 0) / 1000 : 0;
      if (askedSeconds > LONGEST_WAIT_SECONDS) throw error.error;
      const seconds = Math.max(Math.ceil(askedSeconds), fruitless * RETRY_STEP_SECONDS);
      await countDown(context, shortId(descriptor.digest), seconds, options);
    }
  }
}

async function attempt(
  context: ImageContext,
  reference: NamedReference,
  descriptor: Descriptor,
  options: DownloadOptions,
  onBytes: (count: number) => void,
): Promise<void> {
  await using ingest = await context.content.ingest(ingestRefOf(descriptor));
  const wasResumed = ingest.offset > 0;
  try {
    if (ingest.offset < descriptor.size) {
      const stream = await openBlob(context, reference, descriptor, ingest.offset, options);
      await copy(context, descriptor, stream, ingest, options, onBytes);
    }
    // Where it falls short, the registry has ended the blob in good order: it is not as long as the manifest says.
    if (ingest.offset < descriptor.size) throw wrongSize(descriptor, `it has ${String(ingest.offset)} bytes`);
    options.progress({ status: 'Verifying Checksum', id: shortId(descriptor.digest) });
    const expected = { digest: descriptor.digest, sizeBytes: descriptor.size };
    await orDiscard(ingest, async () => ingest.commit(expected));
  } catch (error) {
    // An empty file is nothing to go on from.
    if (error instanceof DataLossError || ingest.offset === 0) await ingest.discard();
    if (!(error instanceof DataLossError)) throw error;
    if (await context.registry.rejectBlob(descriptor.digest)) throw new LinkFailure(error, true);
    // What lay there from before, or how the rest was joined to it, may be what was wrong: once more from the beginning.
    throw wasResumed ? new LinkFailure(error) : error;
  }
}

async function openBlob(
  { registry }: ImageContext,
  reference: NamedReference,
  descriptor: Descriptor,
  offset: number,
  { auth, signal }: DownloadOptions,
): Promise<Readable> {
  try {
    return await registry.fetchBlob(reference, descriptor, offset, { auth, signal });
  } catch (error) {
    if (!(error instanceof UnavailableError)) throw bareFault(error);
    const bare = bareFault(error);
    throw new LinkFailure(bare instanceof UnavailableError ? bare : error);
  }
}

async function copy(
  { clock }: ImageContext,
  descriptor: Descriptor,
  stream: Readable,
  ingest: Ingest,
  options: DownloadOptions,
  onBytes: (count: number) => void,
): Promise<void> {
  const id = shortId(descriptor.digest);
  const meter = new ProgressMeter(options.progress, clock, { status: 'Downloading', id, total: descriptor.size });
  const pace = new Pace(clock);
  const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
  try {
    for (;;) {
      const chunk = await nextChunk(chunks);
      if (chunk === null) return;
      if (ingest.offset + chunk.length > descriptor.size) throw wrongSize(descriptor, 'it is longer than that');
      await orDiscard(ingest, async () => ingest.write(chunk));
      onBytes(chunk.length);
      meter.update(ingest.offset);
      pace.count(chunk.length);
    }
  } finally {
    stream.destroy();
  }
}

/** Gives a link up that is held open by a trickle. */
class Pace {
  readonly #clock: Clock;
  #sinceMs: number;
  #bytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#sinceMs = clock.monotonicMs();
  }

  count(bytes: number): void {
    this.#bytes += bytes;
    const now = this.#clock.monotonicMs();
    if (now - this.#sinceMs < SLOWEST_MS) return;
    if (this.#bytes < SLOWEST_BYTES) {
      throw new LinkFailure(new UnavailableError('net/http: timeout awaiting response body'));
    }
    this.#sinceMs = now;
    this.#bytes = 0;
  }
}

/** The one place where a fault is the link's and not the disk's. */
async function nextChunk(chunks: AsyncIterator<Buffer, undefined>): Promise<Buffer | null> {
  try {
    const { value, done } = await chunks.next();
    return done === true ? null : value;
  } catch (error) {
    throw new LinkFailure(linkFault(error));
  }
}

function wrongSize({ digest, size }: Descriptor, found: string): DataLossError {
  const sizes = `the manifest says ${String(size)} bytes, ${found}`;
  return new DataLossError(`filesystem layer verification failed for digest ${digest}: ${sizes}`);
}

/** On a full disk half a blob is worth less than its room. */
async function orDiscard(ingest: Ingest, step: () => Promise<unknown>): Promise<void> {
  try {
    await step();
  } catch (error) {
    await ingest.discard();
    throw error;
  }
}

async function countDown(
  { clock }: ImageContext,
  id: string,
  seconds: number,
  { progress, signal }: DownloadOptions,
): Promise<void> {
  for (let left = seconds; left > 0; left -= 1) {
    progress({ status: `Retrying in ${String(left)} second${left === 1 ? '' : 's'}`, id });
    await clock.sleep(1000, signal);
  }
}
