/** The collection of images as the configuration wants it; see compose.ts. */
import type { Config } from '../../config/config.ts';
import { diskUsageOf } from '../../engine/gc/disk-usage.ts';
import { createImageGc, type EngineImageGc, type ImageGcDependencies } from '../../engine/gc/index.ts';
import type { DiskUsage, ImageGcRules } from '../../engine/gc/types.ts';
import type { ConfiguredSchedule } from '../../engine/schedules/index.ts';
import { KEEP_LABEL } from '../../engine/schedules/labels.ts';
import type { ReloadPart } from '../reload.ts';
import { configuredSchedule } from './configured-schedule.ts';
import type { Ground } from './rooms.ts';

const SCHEDULE_NAME = 'image-gc';
/** Of an age or a schedule. */
const NEVER: ReadonlySet<string> = new Set(['', 'never']);

/** What `image-gc` and its kin say. */
export function imageGcRulesOf(config: Config): ImageGcRules {
  const age = config.get('image-gc-age');
  const highPercent = config.get('image-gc-high-water');
  return {
    isOn: config.get('image-gc'),
    isDryRun: config.get('image-gc-dry-run'),
    unusedFor: NEVER.has(age) ? null : age,
    keepNewestTags: config.get('image-gc-keep-tags'),
    // What scheduled prunes keep is kept here as well.
    keepLabels: [KEEP_LABEL, ...config.get('image-gc-keep-label')],
    space: highPercent === 0 ? null : { highPercent, lowPercent: config.get('image-gc-low-water') },
  };
}

/** Its schedule; none when it is off. */
export function imageGcSchedules(config: Config): readonly ConfiguredSchedule[] {
  const cron = config.get('image-gc-schedule');
  if (!config.get('image-gc') || NEVER.has(cron)) return [];
  const operation = { kind: 'image-gc', dryRun: config.get('image-gc-dry-run') } as const;
  return [configuredSchedule(config, 'image-gc', { name: SCHEDULE_NAME, cron, operation })];
}

/** The room, which from now on notes uses of images. */
export function openImageGc(
  { config, events, clock, logger, dataRoot }: Ground,
  rooms: Pick<ImageGcDependencies, 'prune' | 'containers' | 'images' | 'builds'>,
): EngineImageGc {
  const diskUsage = async (): Promise<DiskUsage> => diskUsageOf(dataRoot);
  return createImageGc({ ...rooms, events, clock, logger, diskUsage, rules: imageGcRulesOf(config.snapshot) });
}

/** The rules follow a reload. */
export function imageGcPart({ config }: Ground, gc: Pick<EngineImageGc, 'reconfigure'>): ReloadPart {
  return {
    prepare(next) {
      const [before, after] = [imageGcRulesOf(config.snapshot), imageGcRulesOf(next)];
      return { apply: () => gc.reconfigure(after), undo: () => gc.reconfigure(before) };
    },
  };
}
