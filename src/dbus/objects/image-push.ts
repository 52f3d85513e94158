import type { Engine } from '../../engine/index.ts';
import { decodeDictionary, type Dictionary } from '../bus/dictionary.ts';
import { variant, type Call } from '../bus/exported.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { registryAuthOf } from '../words/registry-auth.ts';
import { imagePath } from '../names.ts';
import { PushProgress } from './push-progress.ts';

const PUSH_KEYS = { Auth: 'a{ss}' } as const;

/** Sends an image to the registry that its name says; returns the job's path. Result: `Digest`. */
export function startPush(
  { engine, jobs }: { readonly engine: Pick<Engine, 'images'>; readonly jobs: Jobs },
  image: { readonly id: Parameters<typeof imagePath>[0]; readonly reference: string },
  { call, options }: { readonly call: Call; readonly options: Dictionary },
): string {
  const { Auth: auth = {} } = decodeDictionary(PUSH_KEYS, options);
  const credentials = registryAuthOf(auth);
  return jobs.start(
    {
      type: 'push',
      objects: [imagePath(image.id)],
      call,
      action: 'manage-images',
      details: { image: image.reference, id: image.id },
      cancelable: true,
    },
    async (job) => {
      const progress = new PushProgress(job);
      await engine.images.push(image.reference, {
        platform: null,
        auth: credentials,
        progress: (record) => progress.take(record),
        signal: job.signal,
      });
      return { Digest: variant('s', progress.digest) };
    },
  );
}
