import { EngineError, type ErrorKind, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { BuildFailure } from '../engine/index.ts';

/** Docker's status for each kind of error. A new kind does not compile until it has one. */
const STATUS = {
  'not-found': 404,
  'invalid-argument': 400,
  conflict: 409,
  forbidden: 403,
  unauthorized: 401,
  unavailable: 503,
  'not-implemented': 501,
  'data-loss': 500,
  internal: 500,
} as const satisfies Record<ErrorKind, number>;

/** The HTTP status for what was thrown. */
export function statusOf(thrown: unknown): number {
  return thrown instanceof EngineError ? STATUS[thrown.kind] : 500;
}

/** Docker's error body. */
export function errorBody(message: string): { readonly message: string } {
  return { message };
}

/** How an error is told once a stream has begun: older clients read `error`, newer ones `errorDetail`. */
export function inBandError(thrown: unknown): JsonError {
  const message = messageOf(thrown);
  const code = thrown instanceof BuildFailure ? { code: thrown.exitCode } : {};
  return { errorDetail: { ...code, message }, error: message };
}

export interface JsonError {
  /** `code`: how the command of a build ended; the CLI ends with it too. */
  readonly errorDetail: { readonly code?: number; readonly message: string };
  readonly error: string;
}

/** Writes down what the client does not see: faults of ours with their stack, and what failed while cleaning up. */
export function logFailure(logger: Logger, request: string, thrown: unknown): void {
  const failures = thrown instanceof EngineError ? thrown.cleanupFailures : [];
  if (failures.length > 0) {
    logger.warn('clean-up after a failed request failed too', {
      request,
      error: messageOf(thrown),
      failures: failures.map(messageOf),
    });
  }
  // 501 and 503 are answers, not faults.
  if (statusOf(thrown) !== 500) return;
  const cause = thrown instanceof Error ? thrown.cause : undefined;
  logger.error(`Handler for ${request} returned error: ${messageOf(thrown)}`, {
    ...(cause === undefined ? {} : { cause: messageOf(cause) }),
    ...(thrown instanceof EngineError || !(thrown instanceof Error) ? {} : { stack: thrown.stack }),
  });
}
