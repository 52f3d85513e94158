import type { RestartPolicy } from '../spec-types.ts';
import type { DesiredState } from '../state.ts';

/** First pause before a restart; doubled for each further one. */
const FIRST_DELAY_MS = 100;
/** Longest pause: a container that never comes up costs one start a minute. */
const LONGEST_DELAY_MS = 60_000;
/** A run this long counts as healthy: the next pause is the first one again. */
const HEALTHY_RUN_MS = 10_000;

export interface EndedRun {
  readonly exitCode: number;
  readonly ranMs: number;
  /** How often the policy has started it again since a user did. */
  readonly restartCount: number;
  /** Pause before this run; 0 when a user started it. */
  readonly previousDelayMs: number;
  readonly desired: DesiredState;
  /** It was stopped, or killed by a signal that is meant to end it. */
  readonly endsForGood: boolean;
}

/** The pause before the next start, or null to leave the container ended. */
export function restartDelayMs(policy: RestartPolicy, run: EndedRun): number | null {
  if (run.endsForGood || !wantsRestart(policy, run)) return null;
  if (policy.name === 'unless-stopped' && run.desired === 'stopped') return null;
  if (run.previousDelayMs === 0 || run.ranMs >= HEALTHY_RUN_MS) return FIRST_DELAY_MS;
  return Math.min(run.previousDelayMs * 2, LONGEST_DELAY_MS);
}

/**
 * Whether an ended container is started when the daemon comes up. `always` forgets that a user stopped it, as Docker's
 * manual says; `unless-stopped` does not.
 */
export function startsWithDaemon(
  policy: RestartPolicy,
  last: {
    readonly exitCode: number;
    readonly restartCount: number;
    readonly desired: DesiredState;
    readonly hasStarted: boolean;
  },
): boolean {
  if (!last.hasStarted) return false;
  if (policy.name === 'always') return true;
  return last.desired === 'running' && wantsRestart(policy, last);
}

function wantsRestart(
  policy: RestartPolicy,
  run: { readonly exitCode: number; readonly restartCount: number },
): boolean {
  switch (policy.name) {
    case 'no':
      return false;
    case 'always':
    case 'unless-stopped':
      return true;
    case 'on-failure':
      return run.exitCode !== 0 && (policy.maximumRetryCount === 0 || run.restartCount < policy.maximumRetryCount);
  }
}
