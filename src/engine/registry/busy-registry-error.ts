import { UnavailableError } from '../../base/errors.ts';

/** The registry answered that it cannot serve a blob now, and perhaps when it will. */
export class BusyRegistryError extends UnavailableError {
  /** What it asked for by `Retry-After`; null when it did not. */
  readonly retryAfterMs: number | null;

  constructor(refused: UnavailableError, retryAfterMs: number | null) {
    super(refused.message, { cause: refused.cause });
    this.retryAfterMs = retryAfterMs;
  }
}
