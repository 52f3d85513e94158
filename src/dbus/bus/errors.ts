/**
 * Errors on the bus: one table from what the engine throws to a D-Bus error name, exhaustive by kind, so that a new kind
 * does not compile until this front has decided too.
 */
import type { ErrorKind } from '../../base/errors.ts';
import { EngineError, errnoCodeOf, ForbiddenError } from '../../base/errors.ts';
import { SERVICE } from '../names.ts';
import { ValueError } from './wire/writer.ts';

/** Names below `org.moored.Engine1.Error.`; dbus.md rule 9. */
export type EngineErrorName =
  | 'NoSuchContainer'
  | 'NoSuchImage'
  | 'NoSuchNetwork'
  | 'NoSuchVolume'
  | 'NoSuchSecret'
  | 'NoSuchExec'
  | 'NoSuchJob'
  | 'NoSuchSchedule'
  | 'NoSuchKey'
  | 'AmbiguousName'
  | 'NameInUse'
  | 'Conflict'
  | 'InUse'
  | 'NotRunning'
  | 'AlreadyRunning'
  | 'NotPaused'
  | 'InvalidReference'
  | 'InvalidConfig'
  | 'ConfigChanged'
  | 'ReadOnlyConfig'
  | 'PullAccessDenied'
  | 'ManifestUnknown'
  | 'RegistryUnavailable'
  | 'RateLimited'
  | 'NoSpace'
  | 'Cancelled'
  | 'Timeout'
  | 'Busy'
  | 'ShuttingDown'
  | 'NotSupported'
  | 'NotFound'
  | 'Failed';

/** Names of the specification that we answer with. */
export type StandardErrorName =
  | 'InvalidArgs'
  | 'AccessDenied'
  | 'InteractiveAuthorizationRequired'
  | 'UnknownMethod'
  | 'UnknownObject'
  | 'UnknownInterface'
  | 'UnknownProperty'
  | 'PropertyReadOnly'
  | 'LimitsExceeded'
  | 'NoReply'
  | 'Failed';

/** `org.moored.Engine1.Error.NoSuchContainer` */
export function engineErrorName(name: EngineErrorName): string {
  return `${SERVICE}.Error.${name}`;
}

/** `org.freedesktop.DBus.Error.AccessDenied` */
export function standardErrorName(name: StandardErrorName): string {
  return `org.freedesktop.DBus.Error.${name}`;
}

/** An error that has its D-Bus name already: the dispatcher's own, and what other services answer us. */
export class BusError extends Error {
  readonly busName: string;

  constructor(busName: string, message: string) {
    super(message);
    this.name = 'BusError';
    this.busName = busName;
  }
}

/** polkit says no. */
export class NotAuthorizedError extends ForbiddenError {
  readonly busName: string;

  /** `needsInteraction`: a password would do, and the caller did not allow to ask for one. */
  constructor(message: string, needsInteraction: boolean) {
    super(message);
    this.busName = standardErrorName(needsInteraction ? 'InteractiveAuthorizationRequired' : 'AccessDenied');
  }
}

/** Something with a name of this interface, thrown by an object of this front. */
export function namedError(name: EngineErrorName, message: string): BusError {
  return new BusError(engineErrorName(name), message);
}

/** What kinds become where nothing more precise is known. */
const BY_KIND: Readonly<Record<ErrorKind, string>> = {
  'not-found': engineErrorName('NotFound'),
  'invalid-argument': standardErrorName('InvalidArgs'),
  conflict: engineErrorName('Conflict'),
  forbidden: engineErrorName('Conflict'),
  unauthorized: engineErrorName('PullAccessDenied'),
  unavailable: engineErrorName('Failed'),
  'not-implemented': engineErrorName('NotSupported'),
  'data-loss': engineErrorName('Failed'),
  internal: engineErrorName('Failed'),
};

/**
 * More precise names, by Docker's texts: they are API and change no more than a name would. The first that fits counts.
 * What a caller gave may be part of a text, with line ends and all.
 */
const BY_TEXT: readonly (readonly [ErrorKind | null, RegExp, EngineErrorName])[] = [
  ['not-found', /^no such container/i, 'NoSuchContainer'],
  ['not-found', /^no such image|image .* not found/is, 'NoSuchImage'],
  ['not-found', /^(failed to set up container networking: )?network .* not found|no such network/is, 'NoSuchNetwork'],
  ['not-found', /no such volume/i, 'NoSuchVolume'],
  ['not-found', /^secret .* not found/is, 'NoSuchSecret'],
  ['not-found', /^no such exec/i, 'NoSuchExec'],
  ['not-found', /^no such job/i, 'NoSuchJob'],
  ['not-found', /^no such schedule/i, 'NoSuchSchedule'],
  ['not-found', /pull access denied|repository .* not found/is, 'PullAccessDenied'],
  ['not-found', /manifest .*(unknown|not found)/is, 'ManifestUnknown'],
  [null, /multiple ids found|is ambiguous/i, 'AmbiguousName'],
  [null, /invalid reference format|repository name must/i, 'InvalidReference'],
  ['conflict', /the container name .* is already in use/is, 'NameInUse'],
  ['conflict', /(network|volume) with name .* already exists/is, 'NameInUse'],
  ['conflict', /^rpc error: code = AlreadyExists/, 'NameInUse'],
  [null, /is not running|not running$/i, 'NotRunning'],
  [null, /is not paused/i, 'NotPaused'],
  [null, /is already (running|paused|started)/i, 'AlreadyRunning'],
  [null, /too ?many ?requests|rate limit/i, 'RateLimited'],
  // The registry's texts begin with the request, as Go's do: `Get "https://…": dial tcp …`.
  ['unavailable', /^(get|head|post|put|patch|delete) "|registry|no endpoints found/i, 'RegistryUnavailable'],
  [
    null,
    /has active endpoints|volume is in use|is in use by the following|is being used by|is using its referenced image/i,
    'InUse',
  ],
  [null, /is restarting|already in progress|is marked for removal/i, 'Busy'],
  [null, /no space left on device|ENOSPC/i, 'NoSpace'],
  [null, /shutting down/i, 'ShuttingDown'],
];

/** What an error is called on the bus, and its text; never a stack. */
export interface ErrorReply {
  readonly name: string;
  readonly message: string;
  /** A fault of ours: to be logged with its stack, and not to be told. */
  readonly isFault: boolean;
}

/** The reply to whatever a handler threw. */
export function errorReply(thrown: unknown): ErrorReply {
  if (thrown instanceof BusError || thrown instanceof NotAuthorizedError) {
    return { name: thrown.busName, message: presentable(thrown.message), isFault: false };
  }
  if (thrown instanceof EngineError) {
    return { name: nameOf(thrown), message: presentable(thrown.message), isFault: false };
  }
  if (thrown instanceof Error && thrown.name === 'AbortError') {
    return { name: engineErrorName('Cancelled'), message: 'the call was cancelled', isFault: false };
  }
  if (thrown instanceof Error && thrown.name === 'TimeoutError') {
    return { name: engineErrorName('Timeout'), message: 'the call took too long', isFault: false };
  }
  if (errnoCodeOf(thrown) === 'ENOSPC') {
    return { name: engineErrorName('NoSpace'), message: 'no space left on device', isFault: false };
  }
  if (thrown instanceof ValueError) {
    return { name: engineErrorName('Failed'), message: 'the answer cannot be sent over D-Bus', isFault: true };
  }
  return { name: engineErrorName('Failed'), message: 'internal error; the journal has more', isFault: true };
}

/** What can be wrong with an argument beyond being none; states of things are nothing of the kind, whatever the text quotes. */
const OF_ARGUMENTS: readonly EngineErrorName[] = ['AmbiguousName', 'InvalidReference'];

function nameOf(error: EngineError): string {
  const isArgument = error.kind === 'invalid-argument';
  const found = BY_TEXT.find(
    ([kind, text, name]) =>
      (kind ?? error.kind) === error.kind && (!isArgument || OF_ARGUMENTS.includes(name)) && text.test(error.message),
  );
  return found === undefined ? BY_KIND[error.kind] : engineErrorName(found[2]);
}

/** Text that the bus takes. */
function presentable(message: string): string {
  const text = message.replaceAll('\0', '');
  // Last of all: the cut may go through a pair of surrogates.
  return (text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text).toWellFormed();
}

/** Enough for a build's last words; an error is no place for a log. */
const MAX_TEXT = 16 * 1024;
