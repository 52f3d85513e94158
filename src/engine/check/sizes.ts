/** Containers and volumes that were made with a size: is it in force? */
import { humanSize, parseByteSize } from '../../base/byte-size.ts';
import { messageOf } from '../../base/errors.ts';
import { isPassing, sizeAskedFor } from '../containers/record.ts';
import type { KeptLimits } from '../storage/mending.ts';
import type { CheckRun, Fault } from './ground.ts';

interface Sized extends Pick<Fault, 'kind' | 'subject'> {
  /** By which its limit is known. */
  readonly key: string;
  readonly sizeBytes: number;
}

export async function checkSizes(run: CheckRun): Promise<void> {
  for (const container of run.containers()) {
    if ('unreadable' in container || isPassing(container.live)) continue;
    const { id, name, document } = container;
    const sizeBytes = sizeAskedFor(document);
    if (sizeBytes === null) continue;
    // What does not open, or has no files any more, was told of.
    const store = await run.store(document.storageDriver).catch(() => null);
    const limits = store?.upkeep.limits ?? null;
    if (limits === null || ((await store?.upkeep.snapshotOf(id).catch(() => null)) ?? null) === null) continue;
    await reportSize(run, limits, { kind: 'container', subject: name, key: id, sizeBytes });
  }
  const limits = await run.needs.volumeLimits();
  if (limits === null) return;
  for (const { name, document } of run.needs.volumes.list()) {
    const { mountPoint, options } = JSON.parse(document) as VolumeWords;
    const sizeBytes = parseByteSize(options?.['size'] ?? '0');
    if (mountPoint === undefined || sizeBytes === null || sizeBytes === 0) continue;
    await reportSize(run, limits, { kind: 'volume', subject: name, key: mountPoint, sizeBytes });
  }
}

interface VolumeWords {
  readonly mountPoint?: string;
  readonly options?: Readonly<Record<string, string>>;
}

async function reportSize(run: CheckRun, limits: KeptLimits, { kind, subject, key, sizeBytes }: Sized): Promise<void> {
  run.options.signal.throwIfAborted();
  const inForce = await limits.inForce(key);
  if (inForce === sizeBytes) return;
  const is = inForce === null ? 'is not kept' : `is ${humanSize(inForce)} where it is kept`;
  const base = { kind, subject, problem: `its size of ${humanSize(sizeBytes)} ${is}` };
  const obstacle = await limits.obstacleTo(key);
  if (obstacle !== null) {
    await run.report({ ...base, remedy: obstacle, mend: null });
    return;
  }
  await run.report({
    ...base,
    remedy: 'can be set again',
    mend: async () => {
      try {
        await limits.set(key, sizeBytes);
        return { outcome: 'repaired', remedy: 'set again' };
      } catch (error) {
        return { outcome: 'remains', remedy: messageOf(error) };
      }
    },
  });
}
