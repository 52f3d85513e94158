import { randomBytes } from 'node:crypto';
import { ConflictError, EngineError, InvalidArgumentError, NotFoundError } from '../../base/errors.ts';
import type { StoredVolume } from '../state/volumes.ts';
import type { VolumeDriver, VolumeRecord, Volumes } from './driver.ts';

const DEFAULT_DRIVER = 'local';
/** Bytes of randomness in the name of an anonymous volume: 64 hex digits, as Docker's. */
const ANONYMOUS_NAME_BYTES = 32;
/** A directory's name can be no longer. */
const MAX_NAME_LENGTH = 255;
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** True for what a volume may be called. */
export function isVolumeName(name: string): boolean {
  return NAME.test(name);
}

/** The driver of a new volume, once name and options are fit for it. */
export function chosenDriver(
  name: string,
  request: Parameters<Volumes['create']>[0],
  driverOf: (name: string) => VolumeDriver,
): VolumeDriver {
  return inCreateOf(name, () => {
    const chosen = driverOf(request.driver === null || request.driver === '' ? DEFAULT_DRIVER : request.driver);
    refuseBadName(name);
    chosen.validate(request.options);
    return chosen;
  });
}

/** A row as the room speaks of it. */
export function recordOf({ createdAt, document }: StoredVolume): VolumeRecord {
  return { ...(JSON.parse(document) as Omit<VolumeRecord, 'createdAt'>), createdAt };
}

/** The row of a volume. */
export function storedOf({ createdAt, ...rest }: VolumeRecord): StoredVolume {
  return { name: rest.name, createdAt, document: JSON.stringify(rest) };
}

/** A name for what nobody named; also a user of a mount that is no container. */
export function anonymousName(): string {
  return randomBytes(ANONYMOUS_NAME_BYTES).toString('hex');
}

/** Docker names the volume in front of whatever is wrong with a request. */
function inCreateOf<T>(name: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof EngineError) error.message = `create ${name}: ${error.message}`;
    throw error;
  }
}

function refuseBadName(name: string): void {
  if (name.length === 1) {
    throw new InvalidArgumentError('volume name is too short, names should be at least two alphanumeric characters');
  }
  if (name.length > MAX_NAME_LENGTH) {
    throw new InvalidArgumentError(
      `volume name is too long, names should be at most ${String(MAX_NAME_LENGTH)} characters`,
    );
  }
  if (!NAME.test(name)) {
    throw new InvalidArgumentError(
      `"${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
    );
  }
}

/** NotFoundError in Docker's words. */
export function noSuchDriver(name: string): NotFoundError {
  return new NotFoundError(`error looking up volume plugin ${name}: plugin "${name}" not found`);
}

/** The existing one, when it is of this driver. */
export function sameDriver(volume: VolumeRecord, driver: VolumeDriver): VolumeRecord {
  if (volume.driver === driver.name) return volume;
  throw new ConflictError(
    `create ${volume.name}: conflict: volume ${volume.name} already exists with driver ${volume.driver}`,
  );
}
