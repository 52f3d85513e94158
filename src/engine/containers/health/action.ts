/**
 * What the engine does about a container that is unhealthy, as its labels say:
 *
 *     org.moored.unhealthy.action=restart|stop|notify|none   (none)
 *     org.moored.unhealthy.pause=1m         between two restarts, Go's duration, a second at least
 *     org.moored.unhealthy.max-restarts=5   without being healthy in between; 0: without end
 */
import type { Timestamp } from '../../../base/clock.ts';
import { InvalidArgumentError } from '../../../base/errors.ts';
import { parseGoDuration } from '../../../base/go-duration.ts';

const PREFIX = 'org.moored.unhealthy.';
const ACTIONS = ['restart', 'stop', 'notify', 'none'] as const;
const DEFAULT_PAUSE_NS = 60e9;
/** A container is not restarted more often than this, whatever its labels say. */
const SHORTEST_PAUSE_NS = 1e9;
const DEFAULT_MAX_RESTARTS = 5;

/** What is to be done, from the labels. */
export interface UnhealthyRule {
  readonly action: (typeof ACTIONS)[number];
  readonly pauseNs: bigint;
  readonly maxRestarts: number;
}

/** What has been done since the container was last healthy for good, or a user started it. */
export interface UnhealthyRecord {
  readonly restarts: number;
  readonly lastAt: Timestamp;
  /** The limit was reached, and told. */
  readonly hasGivenUp: boolean;
}

/** `give-up` is told once; `wait` means that a later probe decides. */
export type Deed = 'restart' | 'stop' | 'notify' | 'give-up' | 'wait';

/** InvalidArgumentError for a label that means nothing. */
export function ruleOf(labels: Readonly<Record<string, string>>): UnhealthyRule {
  const action = labels[`${PREFIX}action`] ?? 'none';
  const known = ACTIONS.find((name) => name === action);
  if (known === undefined) throw invalid('action', action, ACTIONS.join(', '));
  const pause = labels[`${PREFIX}pause`];
  const pauseNs = pause === undefined ? DEFAULT_PAUSE_NS : parseGoDuration(pause);
  if (pauseNs === null || pauseNs < SHORTEST_PAUSE_NS) throw invalid('pause', pause ?? '', 'a duration from 1s on');
  const max = labels[`${PREFIX}max-restarts`] ?? String(DEFAULT_MAX_RESTARTS);
  if (!/^\d{1,9}$/.test(max)) throw invalid('max-restarts', max, 'a number, 0 for no limit');
  return { action: known, pauseNs: BigInt(Math.round(pauseNs)), maxRestarts: Number(max) };
}

/** InvalidArgumentError for a label that means nothing. */
export function validateUnhealthyLabels(labels: Readonly<Record<string, string>>): void {
  ruleOf(labels);
}

/**
 * What to do after a probe that leaves the container unhealthy. Asked after each of them, so that a pause that has not
 * gone by, and an engine that was killed before it acted, only mean one probe more.
 */
export function deedOf(
  rule: UnhealthyRule,
  record: UnhealthyRecord | null,
  { now, hasChanged }: { readonly now: Timestamp; readonly hasChanged: boolean },
): Deed {
  switch (rule.action) {
    case 'none':
      return 'wait';
    case 'notify':
      return hasChanged ? 'notify' : 'wait';
    case 'stop':
      return 'stop';
    case 'restart':
      if (record === null) return 'restart';
      if (rule.maxRestarts > 0 && record.restarts >= rule.maxRestarts) return record.hasGivenUp ? 'wait' : 'give-up';
      return now - record.lastAt >= rule.pauseNs ? 'restart' : 'wait';
  }
}

/** True when a container that is healthy now has been so for long enough that earlier restarts are forgotten. */
export function isForgotten(rule: UnhealthyRule, record: UnhealthyRecord, now: Timestamp): boolean {
  return now - record.lastAt >= rule.pauseNs;
}

function invalid(name: string, value: string, words: string): InvalidArgumentError {
  return new InvalidArgumentError(`invalid label ${PREFIX}${name}=${JSON.stringify(value)}: use ${words}`);
}
