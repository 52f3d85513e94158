import { errnoText, isDiskFull } from '../../../base/errno-text.ts';
import {
  EngineError,
  errnoCodeOf,
  InternalError,
  InvalidArgumentError,
  UnavailableError,
  type ErrorKind,
} from '../../../base/errors.ts';
import { readable, type ByteString } from './tar/entry.ts';

/** What an archive alone can be guilty of: its names and their order. */
const ARCHIVE_FAULTS = new Set([
  'EEXIST',
  'EINVAL',
  'EISDIR',
  'ELOOP',
  'EMLINK',
  'ENAMETOOLONG',
  'ENOENT',
  'ENOTDIR',
  'ENOTEMPTY',
  'EPERM',
  'EXDEV',
]);

/** Names a failed step in dockerd's words (`open /usr/bin/x: no space left on device`), the path as the layer has it. */
export function layerFault(call: string, path: ByteString, error: unknown): unknown {
  if (error instanceof EngineError) return error;
  const code = errnoCodeOf(error);
  if (code === null) return error;
  const text = `${call} /${readable(path)}: ${errnoText(code)}`;
  if (isDiskFull(error)) return new UnavailableError(text, { cause: error });
  return ARCHIVE_FAULTS.has(code)
    ? new InvalidArgumentError(text, { cause: error })
    : new InternalError(text, { cause: error });
}

/** What a worker reported, after the sentence that dockerd puts before everything its unpacker says. */
export function processingError(kind: ErrorKind, report: string): EngineError {
  const message = `Error processing tar file(exit status 1): ${report}`;
  switch (kind) {
    case 'invalid-argument':
      return new InvalidArgumentError(message);
    case 'unavailable':
      return new UnavailableError(message);
    default:
      return new InternalError(message);
  }
}

/** What a worker reported that reads a tree. */
export function packingError(kind: ErrorKind, report: string): EngineError {
  switch (kind) {
    case 'invalid-argument':
      return new InvalidArgumentError(report);
    case 'unavailable':
      return new UnavailableError(report);
    default:
      return new InternalError(report);
  }
}
