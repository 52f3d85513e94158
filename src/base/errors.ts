/**
 * Errors by what the caller should do about them. Every room throws one of these kinds; each front (REST, D-Bus) owns
 * one exhaustive table from kind to its own language, so that a new kind does not compile until both have decided.
 *
 * Docker's message texts are API: clients match them. They live as named constructors in the room that owns the noun.
 */
export type ErrorKind =
  | 'not-found'
  | 'invalid-argument'
  | 'conflict'
  | 'forbidden'
  | 'unauthorized'
  | 'unavailable'
  | 'not-implemented'
  | 'data-loss'
  | 'internal';

/** The one root of all errors that the engine throws on purpose. `message` is shown to the user as it is. */
export class EngineError extends Error {
  readonly kind: ErrorKind;
  /** What went wrong while cleaning up after this error; never replaces it. */
  readonly cleanupFailures: unknown[] = [];

  constructor(kind: ErrorKind, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
    this.kind = kind;
  }
}

/** The named thing does not exist. */
export class NotFoundError extends EngineError {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super('not-found', message, options);
  }
}

/** The request can never work as it was put. */
export class InvalidArgumentError extends EngineError {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super('invalid-argument', message, options);
  }
}

/** The request clashes with the present state; another state would allow it. */
export class ConflictError extends EngineError {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super('conflict', message, options);
  }
}

/** The request is understood and will not be done for anybody in this state or configuration. */
export class ForbiddenError extends EngineError {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super('forbidden', message, options);
  }
}

/** Credentials are missing or wrong. */
export class UnauthorizedError extends EngineError {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super('unauthorized', message, options);
  }
}

/** Something outside (registry, disk, kernel facility) is not there now; trying again later may help. */
export class UnavailableError extends EngineError {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super('unavailable', message, options);
  }
}

/** The engine does not offer this; said openly instead of dropping an option. */
export class NotImplementedError extends EngineError {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super('not-implemented', message, options);
  }
}

/** Stored data is damaged or is not what its digest says. */
export class DataLossError extends EngineError {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super('data-loss', message, options);
  }
}

/** A fault of the engine or of a program it runs; nothing the caller can mend. */
export class InternalError extends EngineError {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super('internal', message, options);
  }
}

/** The text of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  return errnoCodeOf(thrown) === 'EDQUOT'
    ? thrown.message.replace(NAMELESS, 'EDQUOT: disk quota exceeded')
    : thrown.message;
}

/** Node has no name for it (its codes are `UNKNOWN` and `Unknown system error -122`). */
const EDQUOT = -122;
const NAMELESS = /^(?:UNKNOWN: unknown error|Unknown system error -122: Unknown system error -122)/;

/** The `code` of a Node system error (`ENOENT` …), or null. */
export function errnoCodeOf(thrown: unknown): string | null {
  if (typeof thrown !== 'object' || thrown === null || !('code' in thrown)) return null;
  if ('errno' in thrown && thrown.errno === EDQUOT) return 'EDQUOT';
  return typeof thrown.code === 'string' ? thrown.code : null;
}
