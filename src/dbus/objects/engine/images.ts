/** Images in: from a registry, an archive, a root file system. */
import { InvalidArgumentError } from '../../../base/errors.ts';
import type { Platform, RegistryAuth } from '../../../engine/index.ts';
import { decodeDictionary, type Dictionary } from '../../bus/dictionary.ts';
import { variant, type Call, type Variant } from '../../bus/exported.ts';
import type { JobProgress } from '../../jobs/jobs.ts';
import { withReceived } from '../../bus/received-stream.ts';
import { registryAuthOf } from '../../words/registry-auth.ts';
import { imagePath } from '../../names.ts';
import type { ManagerParts, Methods } from './parts.ts';
import { PullProgress } from './pull-progress.ts';

type Details = Readonly<Record<string, Variant>>;

export function imageMethods(parts: ManagerParts): Methods {
  return {
    PullImage: (call: Call, reference: string, options: Dictionary) => [startPull(parts, call, reference, options)],
    DeleteRemoteImage: async (call: Call, reference: string, options: Dictionary) => {
      const { Auth: auth = {} } = decodeDictionary(DELETE_KEYS, options);
      return [await parts.engine.images.removeRemote(reference, { auth: registryAuthOf(auth), signal: call.signal })];
    },
    LoadImage: (call: Call, fd: number, options: Dictionary) => [startLoad(parts, { call, fd, options })],
    ImportImage: (call: Call, fd: number, reference: string, options: Dictionary) => [
      startImport(parts, { call, fd, reference, options }),
    ],
  };
}

const DELETE_KEYS = { Auth: 'a{ss}' } as const;
const PULL_KEYS = { Platform: 's', AllTags: 'b', Auth: 'a{ss}' } as const;

function startPull(parts: ManagerParts, call: Call, reference: string, options: Dictionary): string {
  const given = decodeDictionary(PULL_KEYS, options);
  const wish = {
    reference: wantedReference(reference, given.AllTags ?? false),
    platform: parts.words.platform(given.Platform ?? ''),
    auth: registryAuthOf(given.Auth ?? {}),
  };
  return parts.jobs.start(
    {
      type: 'pull',
      objects: [],
      call,
      action: 'manage-images',
      details: { image: reference },
      cancelable: true,
    },
    async (progress) => pull(parts, wish, progress),
  );
}

/** What a pull is to bring. */
export interface PullWish {
  readonly reference: string;
  readonly platform: Platform | null;
  readonly auth: RegistryAuth | null;
}

/** Pulls within a job; `Image`, `Digest` and `Updated` of its result. */
export async function pull({ engine }: ManagerParts, wish: PullWish, job: JobProgress): Promise<Details> {
  const before = findId(engine.images, wish.reference);
  const progress = new PullProgress(job);
  const { id } = await engine.images.pull(wish.reference, {
    platform: wish.platform,
    auth: wish.auth,
    progress: (record) => progress.take(record),
    signal: job.signal,
  });
  return {
    Image: variant('o', imagePath(id)),
    Digest: variant('s', progress.digest),
    Updated: variant('b', before !== id),
  };
}

/** An ill-formed reference is the pull's to refuse. */
function findId(images: ManagerParts['engine']['images'], reference: string): string | null {
  try {
    return images.find(reference)?.id ?? null;
  } catch (error) {
    if (error instanceof InvalidArgumentError) return null;
    throw error;
  }
}

/** The engine takes a bare repository for all its tags; people mean `latest`, as with `docker pull`. */
export function wantedReference(reference: string, allTags: boolean): string {
  const isBare = !reference.includes('@') && !reference.slice(reference.lastIndexOf('/') + 1).includes(':');
  if (allTags && !isBare) throw new InvalidArgumentError("tag can't be used with --all-tags/-a");
  return isBare && !allTags ? `${reference}:latest` : reference;
}

interface Received {
  readonly call: Call;
  readonly fd: number;
  readonly options: Dictionary;
}

const LOAD_KEYS = { Quiet: 'b' } as const;

function startLoad({ engine, jobs, descriptors }: ManagerParts, { call, fd, options }: Received): string {
  return withReceived(descriptors, fd, (archive) => {
    const { Quiet: quiet = false } = decodeDictionary(LOAD_KEYS, options);
    return jobs.start(
      {
        type: 'load',
        objects: [],
        call,
        action: 'manage-images',
        details: {},
        cancelable: true,
        onEnd: () => archive.destroy(),
      },
      async (job) => {
        const progress = new PullProgress(job);
        const ids = await engine.images.load(archive, {
          quiet,
          progress: (record) => progress.take(record),
          signal: job.signal,
        });
        return { Images: variant('ao', ids.map(imagePath)) };
      },
    );
  });
}

const IMPORT_KEYS = { Message: 's', Changes: 'as', Platform: 's' } as const;

function startImport(
  { engine, words, jobs, descriptors }: ManagerParts,
  { call, fd, reference, options }: Received & { readonly reference: string },
): string {
  return withReceived(descriptors, fd, (rootfs) => {
    const given = decodeDictionary(IMPORT_KEYS, options);
    const platform = words.platform(given.Platform ?? '');
    return jobs.start(
      {
        type: 'import',
        objects: [],
        call,
        action: 'manage-images',
        details: { image: reference },
        cancelable: true,
        onEnd: () => rootfs.destroy(),
      },
      async ({ signal }) => {
        const id = await engine.images.importTar(rootfs, {
          repository: reference === '' ? null : reference,
          tag: null,
          message: given.Message ?? '',
          changes: given.Changes ?? [],
          platform,
          signal,
        });
        return { Image: variant('o', imagePath(id)) };
      },
    );
  });
}
