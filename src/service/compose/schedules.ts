/** The schedule that the configuration asks for; see compose.ts. */
import type { Config } from '../../config/config.ts';
import type { PruneRequest } from '../../engine/prune/types.ts';
import type { ConfiguredSchedule, EngineSchedules } from '../../engine/schedules/index.ts';
import { KEEP_LABEL } from '../../engine/schedules/labels.ts';
import type { ReloadPart } from '../reload.ts';
import type { Ground } from './rooms.ts';

const SCHEDULE_NAME = 'prune';
const NEWEST_TAGS = /^newest-tags=(\d{1,4})$/;

/** `prune-schedule` with what belongs to it; none when it is empty. */
export function configuredSchedules(config: Config): readonly ConfiguredSchedule[] {
  const cron = config.get('prune-schedule');
  if (cron === '') return [];
  const { layer } = config.originOf('prune-schedule');
  return [
    {
      origin: layer === 'file' || layer === 'fragment' ? 'daemon.json' : 'sysconfig',
      definition: {
        name: SCHEDULE_NAME,
        cron,
        timeZone: '',
        // A host that is off at night is to be tidied as well.
        missed: 'run-once',
        overlap: 'skip',
        randomDelaySeconds: 0,
        enabled: true,
        operation: { kind: 'prune', request: pruneRequestOf(config), dryRun: config.get('prune-dry-run') },
      },
    },
  ];
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
    ],
    until,
    labels: valuesOf(filters, 'label'),
    withoutLabels: valuesOf(filters, 'label!'),
    danglingOnly: !targets.has('all-images'),
    namedVolumes: targets.has('all-volumes'),
    keep: {
      labels: [KEEP_LABEL, ...valuesOf(keep, 'label')],
      newestTags: newest.length === 0 ? null : Math.max(...newest),
      names: keep.filter((word) => !word.startsWith('label=') && !NEWEST_TAGS.test(word)),
    },
  };
}
