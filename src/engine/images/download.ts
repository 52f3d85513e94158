/**
 * Brings one blob into the content store: resumes where a cut link or a killed daemon left it, tries again while the
 * registry may come back, verifies. Progress in Docker's words.
 */
import type { Readable } from 'node:stream';
import type { EngineError } from '../../base/errors.ts';
import { DataLossError, errnoCodeOf, UnavailableError } from '../../base/errors.ts';
import { shortId } from '../../base/ids.ts';
import type { Ingest } from '../content/store.ts';
import type { Descriptor } from '../oci/image-spec.ts';
import type { NamedReference } from '../oci/reference.ts';
import type { RequestOptions } from '../registry/client.ts';
import type { ImageContext } from './context.ts';
import { ProgressMeter } from './progress.ts';
import type { ProgressSink } from './types.ts';

export interface DownloadOptions extends RequestOptions {
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

/** The link broke: worth another attempt. */
class LinkFailure extends Error {
  readonly error: EngineError;

  constructor(error: EngineError) {
    super(error.message, { cause: error });
    this.error = error;
  }
}

/** dockerd waits this long before the second attempt, twice as long before the third … */
const RETRY_STEP_SECONDS = 5;

/** Downloads a blob unless it is there. Whoever asks for the same blob meanwhile waits for it. */
export async function downloadBlob(
  context: ImageContext,
  reference: NamedReference,
  descriptor: Descriptor,
  options: DownloadOptions,
): Promise<void> {
  const id = shortId(descriptor.digest);
  await context.blobLock.hold(descriptor.digest, async () => {
    options.signal.throwIfAborted();
    if ((await context.content.stat(descriptor.digest)) === null) {
      if (context.downloads.isFull) options.progress({ status: 'Waiting', id });
      using _place = await context.downloads.enter(options.signal);
      await attemptUntilDone(context, reference, descriptor, options);
    }
  });
  options.progress({ status: 'Download complete', id });
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
      // An attempt that brought something is no reason to give up: a bad link still gets there.
      fruitless = gained > 0 ? 1 : fruitless + 1;
      if (fruitless >= context.limits.maxDownloadAttempts) throw error.error;
      await countDown(context, shortId(descriptor.digest), fruitless * RETRY_STEP_SECONDS, options);
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
  await using ingest = await context.content.ingest(`layer-${descriptor.digest}`);
  const wasResumed = ingest.offset > 0;
  if (ingest.offset < descriptor.size) {
    const stream = await openBlob(context, reference, descriptor, ingest.offset, options);
    await copy(context, descriptor, stream, ingest, options, onBytes);
  }
  if (ingest.offset < descriptor.size) throw new LinkFailure(new UnavailableError('unexpected EOF'));
  options.progress({ status: 'Verifying Checksum', id: shortId(descriptor.digest) });
  try {
    await ingest.commit({ digest: descriptor.digest, sizeBytes: descriptor.size });
  } catch (error) {
    if (!(error instanceof DataLossError)) throw error;
    const failure = new DataLossError(`filesystem layer verification failed for digest ${descriptor.digest}`);
    // What lay there from before may be what was wrong: once more from the beginning.
    throw wasResumed ? new LinkFailure(failure) : failure;
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
    throw error instanceof UnavailableError ? new LinkFailure(error) : error;
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
  const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
  try {
    for (;;) {
      const chunk = await nextChunk(chunks);
      if (chunk === null) return;
      if (ingest.offset + chunk.length > descriptor.size) {
        await ingest.discard();
        throw new DataLossError(`filesystem layer verification failed for digest ${descriptor.digest}`);
      }
      await writeOrDiscard(ingest, chunk);
      onBytes(chunk.length);
      meter.update(ingest.offset);
    }
  } finally {
    stream.destroy();
  }
}

/** The one place where a fault is the link's and not the disk's. */
async function nextChunk(chunks: AsyncIterator<Buffer, undefined>): Promise<Buffer | null> {
  try {
    const { value, done } = await chunks.next();
    return done === true ? null : value;
  } catch (error) {
    const stalled = errnoCodeOf(error) === 'UND_ERR_BODY_TIMEOUT';
    const text = stalled ? 'net/http: timeout awaiting response body' : 'unexpected EOF';
    throw new LinkFailure(new UnavailableError(text, { cause: error }));
  }
}

/** On a full disk half a blob is worth less than its room. */
async function writeOrDiscard(ingest: Ingest, chunk: Buffer): Promise<void> {
  try {
    await ingest.write(chunk);
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
