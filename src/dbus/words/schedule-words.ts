/** Schedules as they come over the bus. */
import { InvalidArgumentError } from '../../base/errors.ts';
import type { OverlapRule, ScheduleDefinition, ScheduleOperation, ScheduleTiming } from '../../engine/index.ts';
import { decodeDictionary, integerOf, type Dictionary } from '../bus/dictionary.ts';
import { PRUNE_FILTER_KEYS, pruneRequestOf } from './prune-words.ts';
import { secondsOf } from '../bus/times.ts';

const TIMING_KEYS = {
  TimeZone: 's',
  RandomDelay: 't',
  /** Catch up after downtime. */
  Persistent: 'b',
  Enabled: 'b',
  Overlap: 's',
} as const;

const OVERLAP_RULES: readonly OverlapRule[] = ['skip', 'queue', 'replace'];

const DEFAULT_TIMING: Omit<ScheduleTiming, 'cron'> = {
  timeZone: '',
  missed: 'skip',
  overlap: 'skip',
  randomDelaySeconds: 0,
  enabled: true,
};

/** Only what is given. InvalidArgumentError names what is not known. */
export function timingChangeOf(dictionary: Dictionary): Partial<ScheduleTiming> {
  const given = decodeDictionary(TIMING_KEYS, dictionary);
  return {
    ...(given.TimeZone === undefined ? {} : { timeZone: given.TimeZone }),
    ...(given.RandomDelay === undefined
      ? {}
      : { randomDelaySeconds: integerOf('RandomDelay', secondsOf(given.RandomDelay)) }),
    ...(given.Persistent === undefined ? {} : { missed: given.Persistent ? 'run-once' : 'skip' }),
    ...(given.Enabled === undefined ? {} : { enabled: given.Enabled }),
    ...(given.Overlap === undefined ? {} : { overlap: overlapOf(given.Overlap) }),
  };
}

function overlapOf(text: string): OverlapRule {
  const rule = OVERLAP_RULES.find((known) => known === text);
  if (rule === undefined)
    throw new InvalidArgumentError(
      `key "Overlap" must be one of ${OVERLAP_RULES.join(', ')}, not ${JSON.stringify(text)}`,
    );
  return rule;
}

/**
 * Arguments of `AddSchedule`. Beside the timing each operation has keys of its own: `prune` Types as, DryRun b and the
 * filters of Prune; `pull` Reference s; `run-container` and `restart-container` Container s.
 */
export function scheduleOf(name: string, cron: string, operation: string, options: Dictionary): ScheduleDefinition {
  const isTiming = (key: string): boolean => Object.hasOwn(TIMING_KEYS, key);
  const [timing, rest] = [pick(options, isTiming), pick(options, (key) => !isTiming(key))];
  return { ...DEFAULT_TIMING, ...timingChangeOf(timing), name, cron, operation: operationOf(operation, rest) };
}

function pick(dictionary: Dictionary, isWanted: (key: string) => boolean): Dictionary {
  return Object.fromEntries(Object.entries(dictionary).filter(([key]) => isWanted(key)));
}

function operationOf(kind: string, options: Dictionary): ScheduleOperation {
  switch (kind) {
    case 'prune': {
      const isFilter = (key: string): boolean => Object.hasOwn(PRUNE_FILTER_KEYS, key);
      const given = decodeDictionary(
        { Types: 'as', DryRun: 'b' },
        pick(options, (key) => !isFilter(key)),
      );
      const request = pruneRequestOf(given.Types ?? ['container', 'image'], pick(options, isFilter));
      return { kind, request, dryRun: given.DryRun ?? false };
    }
    case 'pull':
      return { kind, reference: required('Reference', decodeDictionary({ Reference: 's' }, options).Reference) };
    case 'run-container':
    case 'restart-container':
      return { kind, container: required('Container', decodeDictionary({ Container: 's' }, options).Container) };
    default:
      throw new InvalidArgumentError(
        `unknown operation ${JSON.stringify(kind)}: prune, pull, run-container or restart-container`,
      );
  }
}

function required(key: string, value: string | undefined): string {
  if (value === undefined || value === '') throw new InvalidArgumentError(`key "${key}" is missing`);
  return value;
}
