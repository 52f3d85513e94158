/** Docker's texts (docker 28's where releases differ, see docs/decisions): clients match them. */
import { ConflictError, InvalidArgumentError, NotFoundError, NotImplementedError } from '../../base/errors.ts';

export function noSuchContainer(ref: string): NotFoundError {
  return new NotFoundError(`No such container: ${ref}`);
}

export function ambiguousPrefix(prefix: string): InvalidArgumentError {
  return new InvalidArgumentError(`multiple IDs found with provided prefix: ${prefix}`);
}

export function noSuchExec(id: string): NotFoundError {
  return new NotFoundError(`No such exec instance: ${id}`);
}

export function nameInUse(name: string, id: string): ConflictError {
  return new ConflictError(
    `Conflict. The container name "/${name}" is already in use by container "${id}". ` +
      'You have to remove (or rename) that container to be able to reuse that name.',
  );
}

export function invalidName(name: string): InvalidArgumentError {
  return new InvalidArgumentError(`Invalid container name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
}

export function notRunning(id: string): ConflictError {
  return new ConflictError(`container ${id} is not running`);
}

export function isRestarting(id: string): ConflictError {
  return new ConflictError(`Container ${id} is restarting, wait until the container is running`);
}

export function markedForRemoval(): ConflictError {
  return new ConflictError('container is marked for removal and cannot be started');
}

export function removalInProgress(ref: string): ConflictError {
  return new ConflictError(`removal of container ${ref} is already in progress`);
}

export function runningCannotBeRemoved(name: string, status: string): ConflictError {
  return new ConflictError(
    status === 'paused'
      ? `cannot remove container "/${name}": container is paused and must be unpaused first`
      : `cannot remove container "/${name}": container is ${status}: stop the container before removing or force remove`,
  );
}

export function logReadingUnsupported(): NotImplementedError {
  return new NotImplementedError('configured logging driver does not support reading');
}
