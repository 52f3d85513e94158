/**
 * Writing to a registry ({@link RegistryPush}). What may pass is tried again, longer and longer apart and a little at
 * random, so that many clients do not come back at once; an upload goes on where the registry says it stands.
 */
import type { Clock } from '../../base/clock.ts';
import { NotFoundError, NotImplementedError, UnauthorizedError, UnavailableError } from '../../base/errors.ts';
import { KeyedLock } from '../../base/keyed-lock.ts';
import { digestOf, type Digest } from '../oci/digest.ts';
import { familiarName, familiarString, type NamedReference } from '../oci/reference.ts';
import { deleteScope, pullScope, pushScope } from './authorizer.ts';
import type {
  BlobArrival,
  OfferOptions,
  PushableBlob,
  PushBlobOptions,
  RegistryPush,
  RequestOptions,
} from './client.ts';
import { ask, assertDigest, refused, TooLargeError, Upload, UploadFailure, type PushLink } from './push-upload.ts';
import type { Requests } from './requests.ts';
import { drop, readRefusal } from './transport.ts';

/** What passes at once is not waited for long; a registry that restarts gets dockerd's half minute. */
const RETRY_SECONDS = [1, 5, 10, 20];
const JITTER = 0.25;
/** Mounts that are tried before the blob is sent: each is a request. */
const MAX_MOUNTS = 3;
const PASSING_RETRIES = 2;

export interface PusherOptions {
  readonly clock: Clock;
  /** A number in [0, 1): spreads retries. */
  readonly random: () => number;
}

export class Pusher implements RegistryPush {
  readonly #requests: Requests;
  readonly #clock: Clock;
  readonly #random: () => number;
  /**
   * docker-registry writes a manifest's link in place: while one client puts the digest of another's put, it may read an
   * empty link and answer `digest invalid`.
   */
  readonly #manifestLock = new KeyedLock<string>();

  constructor(requests: Requests, { clock, random }: PusherOptions) {
    this.#requests = requests;
    this.#clock = clock;
    this.#random = random;
  }

  async greet(reference: NamedReference, options: RequestOptions): Promise<void> {
    await this.#requests.atEndpoints(reference, { ...options, purpose: 'push', fresh: true }, async () => undefined);
  }

  async offerBlob(reference: NamedReference, digest: Digest, options: OfferOptions): Promise<BlobArrival | null> {
    return await this.#at(reference, options, async (link) => {
      const offered = await offer(link, { digest, sizeBytes: 0, open: neverOpened }, options.mountFrom, false);
      if (!(offered instanceof Upload)) return offered;
      await offered.cancel();
      return null;
    });
  }

  async pushBlob(reference: NamedReference, blob: PushableBlob, options: PushBlobOptions): Promise<BlobArrival> {
    return await this.#at(reference, options, async (link) => this.#bring(link, blob, options));
  }

  async pushManifest(
    reference: NamedReference,
    { mediaType, bytes }: { readonly mediaType: string; readonly bytes: Buffer },
    options: RequestOptions,
  ): Promise<Digest> {
    const digest = digestOf(bytes);
    const put = async (link: PushLink): Promise<Digest> => {
      const answer = await ask(link, {
        method: 'PUT',
        path: `manifests/${reference.digest ?? reference.tag ?? 'latest'}`,
        headers: { 'content-type': mediaType },
        body: bytes,
        retries: PASSING_RETRIES,
      });
      if (answer.status < 200 || answer.status >= 300) throw refused(await readRefusal(answer));
      drop(answer.body);
      assertDigest(answer, digest);
      return digest;
    };
    return await this.#manifestLock.hold(
      `${reference.domain}/${reference.path}`,
      () => this.#at(reference, options, put),
      options.signal,
    );
  }

  async removeManifest(reference: NamedReference, digest: Digest, options: RequestOptions): Promise<void> {
    await this.#at(reference, options, async (link) => {
      const repository = link.session.endpoint.namePrefix + reference.path;
      const answer = await ask(link, {
        method: 'DELETE',
        path: `manifests/${digest}`,
        retries: PASSING_RETRIES,
        scopes: [deleteScope(repository), pushScope(repository)],
      });
      if (answer.status >= 200 && answer.status < 300) {
        drop(answer.body);
        return;
      }
      const refusal = await readRefusal(answer);
      if (refusal.status === 404) {
        throw new NotFoundError(`manifest for ${familiarString(reference)} not found: ${refusal.text}`);
      }
      // docker-registry answers 405 until its `storage.delete.enabled` is set; others know no deletion at all.
      if (refusal.status === 405 || refusal.status === 501) throw deletionIsOff(reference, refusal.text);
      throw refused(refusal);
    });
  }

  async #at<T>(reference: NamedReference, options: RequestOptions, job: (link: PushLink) => Promise<T>): Promise<T> {
    return await this.#requests.atEndpoints(reference, { ...options, purpose: 'push', fresh: false }, async (session) =>
      job({ requests: this.#requests, session, reference, clock: this.#clock, options }),
    );
  }

  async #bring(link: PushLink, blob: PushableBlob, options: PushBlobOptions): Promise<BlobArrival> {
    const course: Course = { upload: null, inChunks: false, hasSent: false };
    let failures = 0;
    try {
      for (;;) {
        const offsetBefore = course.upload?.offset ?? 0;
        try {
          return await attempt(link, blob, options, course);
        } catch (error) {
          link.options.signal?.throwIfAborted();
          if (error instanceof TooLargeError && !course.inChunks) {
            await course.upload?.cancel();
            Object.assign(course, { upload: null, inChunks: true });
            continue;
          }
          const { failure, isLost } = passing(error);
          // An attempt that brought something is no reason to give up: a bad link still gets there.
          failures = (course.upload?.offset ?? 0) > offsetBefore ? 1 : failures + 1;
          if (isLost) course.upload = null;
          await this.#waitAfter(failure, failures, options);
        }
      }
    } finally {
      await course.upload?.cancel();
    }
  }

  /** Rethrows when there is no sense in going on. */
  async #waitAfter(failure: Error, failures: number, { onWait, signal }: PushBlobOptions): Promise<void> {
    const step = RETRY_SECONDS[failures - 1];
    if (step === undefined) throw failure;
    if (failure instanceof UnauthorizedError) {
      // The token ended while the bytes were on their way; a new one that is refused as well is an answer.
      if (failures > 1) throw failure;
      return;
    }
    const seconds = Math.max(1, Math.round(step * (1 - JITTER + 2 * JITTER * this.#random())));
    for (let left = seconds; left > 0; left -= 1) {
      onWait?.(left);
      await this.#clock.sleep(1000, signal);
    }
  }
}

/** What the attempts of one blob hand on. */
interface Course {
  /** The session under way. */
  upload: Upload | null;
  inChunks: boolean;
  hasSent: boolean;
}

async function attempt(
  link: PushLink,
  blob: PushableBlob,
  { mountFrom, onProgress }: PushBlobOptions,
  course: Course,
): Promise<BlobArrival> {
  if (course.upload === null) {
    const offered = await offer(link, blob, mountFrom, course.inChunks);
    // Also the way to learn that an upload ended well whose answer was lost.
    if (offered !== null && !(offered instanceof Upload)) return course.hasSent ? { kind: 'uploaded' } : offered;
    course.upload = offered ?? (await Upload.begin(link, blob, course.inChunks));
  } else {
    await course.upload.locate();
  }
  course.hasSent = true;
  await course.upload.finish((sentBytes) => onProgress?.(sentBytes));
  course.upload = null;
  return { kind: 'uploaded' };
}

/** Is it there, or can the registry take it from a repository of its own? Else an upload it began instead, or null. */
async function offer(
  link: PushLink,
  blob: PushableBlob,
  mountFrom: readonly string[],
  inChunks: boolean,
): Promise<BlobArrival | Upload | null> {
  const head = await ask(link, { method: 'HEAD', path: `blobs/${blob.digest}`, retries: PASSING_RETRIES });
  drop(head.body);
  if (head.status === 200) return { kind: 'existed' };
  if (head.status === 429 || head.status >= 500) throw refused(await readRefusal(head));
  // Any other refusal is told better by the upload, whose answer has a body.
  const prefix = link.session.endpoint.namePrefix;
  let begun: Upload | null = null;
  for (const from of mountFrom.slice(0, MAX_MOUNTS)) {
    const query = new URLSearchParams({ mount: blob.digest, from: prefix + from });
    const answer = await ask(link, {
      method: 'POST',
      path: `blobs/uploads/?${query.toString()}`,
      retries: PASSING_RETRIES,
      scopes: [pushScope(prefix + link.reference.path), pullScope(prefix + from)],
    });
    drop(answer.body);
    if (answer.status !== 201 && answer.status !== 202) continue;
    await begun?.cancel();
    if (answer.status === 201) {
      assertDigest(answer, blob.digest);
      return { kind: 'mounted', from };
    }
    begun = Upload.from(link, blob, answer, inChunks);
  }
  return begun;
}

/** What another attempt may cure; everything else is thrown. */
function passing(error: unknown): { readonly failure: Error; readonly isLost: boolean } {
  if (error instanceof UploadFailure) return error;
  if (error instanceof UnavailableError) return { failure: error, isLost: false };
  throw error instanceof TooLargeError ? new UnavailableError(error.message) : error;
}

function deletionIsOff(reference: NamedReference, text: string): NotImplementedError {
  return new NotImplementedError(
    `registry ${reference.domain} does not delete images (${familiarName(reference)}): ${text}; ` +
      'where the registry is docker-registry, set storage.delete.enabled in its configuration',
  );
}

async function neverOpened(): Promise<never> {
  throw new Error('an offered blob is not read');
}
