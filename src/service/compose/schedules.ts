/** The schedules that the configuration asks for; see compose.ts. */
import type { Config } from '../../config/config.ts';
import type { PruneRequest } from '../../engine/prune/types.ts';
import type { ConfiguredSchedule, EngineSchedules } from '../../engine/schedules/index.ts';
import { KEEP_LABEL } from '../../engine/schedules/labels.ts';
import type { ReloadPart } from '../reload.ts';
import { configuredSchedule } from './configured-schedule.ts';
import { imageGcSchedules } from './image-gc.ts';
import type { Ground } from './rooms.ts';

const SCHEDULE_NAME = 'prune';
const NEWEST_TAGS = /^newest-tags=(\d{1,4})$/;

/** All schedules that the configuration asks for. */
export function configuredSchedules(config: Config): readonly ConfiguredSchedule[] {
  return [...pruneSchedules(config), ...imageGcSchedules(config)];
}

/** `prune-schedule` with what belongs to it; none when it is empty. */
function pruneSchedules(config: Config): readonly ConfiguredSchedule[] {
  const cron = config.get('prune-schedule');
  if (cron === '') return [];
  const operation = { kind: 'prune', request: pruneRequestOf(config), dryRun: config.get('prune-dry-run') } as const;
  return [configuredSchedule(config, 'prune-schedule', { name: SCHEDULE_NAME, cron, operation })];
}

/** The schedule follows a reload. */
export function schedulesPart({ config }: Ground, schedules: EngineSchedules): ReloadPart {
  return {
    prepare(next) {
      const [before, after] = [configuredSchedules(config.snapshot), configuredSchedules(next)];
      return { apply: () => schedules.configure(after), undo: () => schedules.configure(before) };
    },
  };
}

const WHOLE_CACHE = { all: true, keepBytes: null, maxUsedBytes: null, minFreeBytes: null, filters: {} } as const;

function pruneRequestOf(config: Config): PruneRequest {
  const targets = new Set<string>(config.get('prune-target'));
  const filters = config.get('prune-filter');
  const keep = config.get('prune-keep');
  const valuesOf = (words: readonly string[], key: string): readonly string[] =>
    words.flatMap((word) => (word.startsWith(`${key}=`) ? [word.slice(key.length + 1)] : []));
  const [until = null] = valuesOf(filters, 'until');
  const newest = keep.flatMap((word) => NEWEST_TAGS.exec(word)?.[1] ?? []).map(Number);
  const has = (...names: readonly string[]): boolean => names.some((name) => targets.has(name));
  return {
    types: [
      ...(has('containers') ? (['container'] as const) : []),
      ...(has('images', 'all-images') ? (['image'] as const) : []),
      ...(has('networks') ? (['network'] as const) : []),
      ...(has('volumes', 'all-volumes') ? (['volume'] as const) : []),
      ...(has('build-cache', 'all-build-cache') ? (['build-cache'] as const) : []),
    ],
    until,
    labels: valuesOf(filters, 'label'),
    withoutLabels: valuesOf(filters, 'label!'),
    danglingOnly: !targets.has('all-images'),
    namedVolumes: targets.has('all-volumes'),
    ...(targets.has('all-build-cache') ? { buildCache: WHOLE_CACHE } : {}),
    keep: {
      labels: [KEEP_LABEL, ...valuesOf(keep, 'label')],
      newestTags: newest.length === 0 ? null : Math.max(...newest),
      names: keep.filter((word) => !word.startsWith('label=') && !NEWEST_TAGS.test(word)),
    },
  };
}
