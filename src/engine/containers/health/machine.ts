/**
 * What a probe's answer makes of a container's health; moby's daemon/health.go, pure.
 *
 *     start ──▶ starting ──0──▶ healthy ──retries failures──▶ unhealthy ──0──▶ healthy
 *                   └────────────retries failures, after the start period────▶ unhealthy
 */
import type { Timestamp } from '../../../base/clock.ts';
import type { HealthView, ProbeResult } from '../types.ts';
import type { HealthCheck } from './check.ts';

const NS_PER_MS = 1_000_000n;
/** How many results are kept. */
const KEPT_RESULTS = 5;

/** A run begins: what earlier ones told stays readable. */
export function begun(before: HealthView | null): HealthView {
  return { status: 'starting', failingStreak: 0, log: before?.log ?? [] };
}

/** Nobody probes any more: Docker calls that unhealthy, and tells nobody. */
export function unwatched(health: HealthView): HealthView {
  return { ...health, status: 'unhealthy' };
}

/** The health after one more result. */
export function probed(
  health: HealthView,
  result: ProbeResult,
  { startPeriodMs, retries }: HealthCheck,
  startedAt: Timestamp,
): HealthView {
  const log = [...health.log.slice(1 - KEPT_RESULTS), result];
  if (result.exitCode === 0) return { status: 'healthy', failingStreak: 0, log };
  // A container that comes up may fail as long as it was given for that.
  if (health.status === 'starting' && elapsedMs(startedAt, result.startedAt) < startPeriodMs) return { ...health, log };
  const failingStreak = health.failingStreak + 1;
  return { status: failingStreak >= retries ? 'unhealthy' : health.status, failingStreak, log };
}

/** How long to wait for the next probe. */
export function pauseMs(check: HealthCheck, { status }: HealthView, startedAt: Timestamp, now: Timestamp): number {
  const isComingUp = status === 'starting' && elapsedMs(startedAt, now) < check.startPeriodMs;
  return isComingUp ? check.startIntervalMs : check.intervalMs;
}

/**
 * How long an engine that has come up again waits: to the same beat as before, so that a thousand containers are not
 * all probed at once.
 */
export function resumedPauseMs(check: HealthCheck, health: HealthView, startedAt: Timestamp, now: Timestamp): number {
  const intervalMs = pauseMs(check, health, startedAt, now);
  return intervalMs - (Math.max(0, elapsedMs(startedAt, now)) % intervalMs);
}

function elapsedMs(from: Timestamp, to: Timestamp): number {
  return Number((to - from) / NS_PER_MS);
}
