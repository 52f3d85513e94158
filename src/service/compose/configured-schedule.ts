import type { Config } from '../../config/config.ts';
import type { OptionFlag } from '../../config/options.ts';
import type { ConfiguredSchedule } from '../../engine/schedules/index.ts';
import type { ScheduleOperation } from '../../engine/schedules/types.ts';

/** What the host is tidied by, as the option `flag` asks for it. */
export function configuredSchedule(
  config: Config,
  flag: OptionFlag,
  schedule: { readonly name: string; readonly cron: string; readonly operation: ScheduleOperation },
): ConfiguredSchedule {
  return {
    origin: originOf(config, flag),
    definition: {
      ...schedule,
      timeZone: '',
      // A host that is off at night is to be tidied as well.
      missed: 'run-once',
      overlap: 'skip',
      randomDelaySeconds: 0,
      enabled: true,
    },
  };
}

/** Who asked for a schedule: daemon.json, or else what comes by sysconfig and flags. */
function originOf(config: Config, flag: OptionFlag): ConfiguredSchedule['origin'] {
  const { layer } = config.originOf(flag);
  return layer === 'file' || layer === 'fragment' ? 'daemon.json' : 'sysconfig';
}
