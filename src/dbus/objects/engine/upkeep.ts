/** The collection of images by the configured rules, and the check of the store. */
import type { ImageGcVictim, StoreFinding } from '../../../engine/index.ts';
import { decodeDictionary, type Dictionary } from '../../bus/dictionary.ts';
import { variant, type Call } from '../../bus/exported.ts';
import { usecOf } from '../../bus/times.ts';
import type { ManagerParts, Methods } from './parts.ts';

const CHECK_KEYS = { Repair: 'b', Deep: 'b' } as const;

/** As systemd has it for a number that nobody knows. */
const UNKNOWN_BYTES = 2n ** 64n - 1n;

export function upkeepMethods({ engine, jobs }: ManagerParts): Methods {
  return {
    PreviewImageCollection: async () => {
      const { victims, reclaimableBytes } = await engine.gc.preview();
      return [victims.map(victimRow), reclaimableBytes];
    },
    CollectImages: async (call: Call, options: Dictionary) => {
      decodeDictionary({}, options);
      const path = jobs.start(
        { type: 'collect-images', objects: [], call, action: 'prune', details: {}, cancelable: true },
        async (job) => {
          let done = 0;
          const { removed, reclaimedBytes } = await engine.gc.run(job.signal, ({ id, bytes, reason }) => {
            done += 1;
            job.item({ item: `image ${id}`, phase: reason, done: bytes, total: bytes });
            job.report({ phase: 'removing', done, total: 0 });
          });
          return {
            Removed: variant('a(ssstt)', removed.map(victimRow)),
            Reclaimed: variant('t', reclaimedBytes),
          };
        },
      );
      return [path];
    },
    PlanStorageMigration: async (_call: Call, driver: string) => {
      const { sources, neededBytes, freeBytes, obstacles } = await engine.migration.plan(driver);
      const rows = sources.map((source) => [source.driver, source.layers, source.containers]);
      return [rows, neededBytes, freeBytes ?? UNKNOWN_BYTES, obstacles];
    },
    CheckStore: async (call: Call, options: Dictionary) => {
      const { Repair: repair = false, Deep: deep = false } = decodeDictionary(CHECK_KEYS, options);
      const details = { repair: String(repair), deep: String(deep) };
      const path = jobs.start(
        { type: 'check-store', objects: [], call, action: 'manage-engine', details, cancelable: true },
        async (job) => {
          const { findings, problems } = await engine.check.run({
            repair,
            deep,
            signal: job.signal,
            onProgress: (progress) => job.report(progress),
            onFinding: ({ kind, subject, outcome, sizeBytes }) =>
              job.item({ item: `${kind} ${subject}`, phase: outcome, done: sizeBytes, total: sizeBytes }),
          });
          return { Findings: variant('a(sssstss)', findings.map(findingRow)), Problems: variant('u', problems) };
        },
      );
      return [path];
    },
  };
}

function victimRow({ id, name, reason, lastUsedAt, bytes }: ImageGcVictim): readonly unknown[] {
  return [id, name, reason, lastUsedAt === null ? 0n : usecOf(lastUsedAt), bytes];
}

function findingRow({ kind, subject, problem, sizeBytes, outcome, remedy }: StoreFinding): readonly unknown[] {
  const severity = outcome === 'repaired' ? 'none' : kind === 'leftover' ? 'leftover' : 'damage';
  return [kind, subject, problem, severity, sizeBytes, outcome, remedy];
}
