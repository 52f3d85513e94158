/** A container's health check in the engine's words: what to run, how often, and what its answers mean. Pure. */
import type { HealthcheckConfig } from '../../oci/image-spec.ts';

const NS_PER_MS = 1_000_000;
const DEFAULT_INTERVAL_MS = 30_000;
const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_START_INTERVAL_MS = 5000;
const DEFAULT_RETRIES = 3;
const DEFAULT_SHELL = ['/bin/sh', '-c'] as const;

/** A check that is to be run; Docker's defaults are filled in. */
export interface HealthCheck {
  readonly command: readonly string[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** After the start: failures do not count, and a container that has not been healthy yet is probed more often. */
  readonly startPeriodMs: number;
  readonly startIntervalMs: number;
  /** So many failures, one after another, are unhealthy. */
  readonly retries: number;
}

/** The check to run; null where there is none (`NONE`, an unknown kind). `shell` is the image's SHELL. */
export function checkOf(
  config: HealthcheckConfig | null,
  shell: readonly string[] | null | undefined,
): HealthCheck | null {
  const command = commandOf(config?.Test ?? [], shell);
  if (config === null || command.length === 0) return null;
  return {
    command,
    intervalMs: msOr(config.Interval, DEFAULT_INTERVAL_MS),
    timeoutMs: msOr(config.Timeout, DEFAULT_TIMEOUT_MS),
    startPeriodMs: msOr(config.StartPeriod, 0),
    startIntervalMs: msOr(config.StartInterval, DEFAULT_START_INTERVAL_MS),
    retries: config.Retries === undefined || config.Retries <= 0 ? DEFAULT_RETRIES : config.Retries,
  };
}

function commandOf(
  [kind, ...words]: readonly string[],
  shell: readonly string[] | null | undefined,
): readonly string[] {
  if (words.length === 0) return [];
  if (kind === 'CMD') return words;
  if (kind !== 'CMD-SHELL') return [];
  return [...(shell === null || shell === undefined || shell.length === 0 ? DEFAULT_SHELL : shell), ...words];
}

function msOr(ns: number | undefined, fallbackMs: number): number {
  return ns === undefined || ns === 0 ? fallbackMs : ns / NS_PER_MS;
}
