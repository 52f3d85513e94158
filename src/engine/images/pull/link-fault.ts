import { EngineError, errnoCodeOf, UnavailableError } from '../../../base/errors.ts';

/** What broke while a body was read, as Go tells it. */
export function linkFault(error: unknown): UnavailableError {
  const stalled = errnoCodeOf(error) === 'UND_ERR_BODY_TIMEOUT';
  const text = stalled ? 'net/http: timeout awaiting response body' : 'unexpected EOF';
  return new UnavailableError(text, { cause: error });
}

/** A failed request without the address it went to: dockerd prints what was met by blobs alone. */
export function bareFault(error: unknown): unknown {
  if (!(error instanceof EngineError) || !(error.cause instanceof EngineError)) return error;
  return error.message.endsWith(`": ${error.cause.message}`) ? error.cause : error;
}
