/** Taking away what nobody uses, and seeing before what that would be. */
import type { PruneVictim } from '../../../engine/index.ts';
import type { Dictionary } from '../../bus/dictionary.ts';
import { variant, type Call, type Variant } from '../../bus/exported.ts';
import { pruneRequestOf } from '../../words/prune-words.ts';
import type { ManagerParts, Methods } from './parts.ts';

export function pruneMethods({ engine, jobs }: ManagerParts): Methods {
  return {
    PreviewPrune: async (_call: Call, types: readonly string[], filters: Dictionary) => {
      const { victims, reclaimableBytes } = await engine.prune.preview(pruneRequestOf(types, filters));
      return [victims.map(({ type, id, bytes }) => [type, id, bytes]), reclaimableBytes];
    },
    Prune: async (call: Call, types: readonly string[], filters: Dictionary) => {
      const request = pruneRequestOf(types, filters);
      // A time that is none is the caller's fault, and not the job's.
      const { victims } = await engine.prune.preview(request);
      const path = jobs.start(
        { type: 'prune', objects: [], call, action: 'prune', details: { types: types.join(',') }, cancelable: true },
        async (job) => {
          let done = 0;
          const report = (): void => job.report({ phase: 'removing', done, total: Math.max(done, victims.length) });
          report();
          const result = await engine.prune.run(request, job.signal, {
            onRemoved: ({ type, id, bytes }) => {
              done += 1;
              job.item({ item: `${type} ${id}`, phase: 'removed', done: bytes, total: bytes });
              report();
            },
          });
          return detailsOf(result);
        },
      );
      return [path];
    },
  };
}

function detailsOf({
  removed,
  reclaimedBytes,
}: {
  readonly removed: readonly PruneVictim[];
  readonly reclaimedBytes: number;
}): Readonly<Record<string, Variant>> {
  return {
    Removed: variant(
      'a(ss)',
      removed.map(({ type, id }) => [type, id]),
    ),
    Reclaimed: variant('t', reclaimedBytes),
  };
}
