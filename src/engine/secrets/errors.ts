/** swarm's words, with the code that dockerd shows in front of them. */
import { ConflictError, InvalidArgumentError, NotFoundError } from '../../base/errors.ts';

export function secretNotFound(ref: string): NotFoundError {
  return new NotFoundError(`secret ${ref} not found`);
}

export function ambiguousSecret(ref: string, count: number): InvalidArgumentError {
  return new InvalidArgumentError(`secret ${ref} is ambiguous (${String(count)} matches found)`);
}

export function invalidSecret(reason: string): InvalidArgumentError {
  return new InvalidArgumentError(`rpc error: code = InvalidArgument desc = ${reason}`);
}

export function secretExists(name: string): ConflictError {
  return new ConflictError(`rpc error: code = AlreadyExists desc = secret ${name} already exists`);
}

export function secretInUse(name: string, users: readonly string[]): ConflictError {
  const noun = users.length === 1 ? 'container' : 'containers';
  return new ConflictError(`secret '${name}' is in use by the following ${noun}: ${users.join(', ')}`);
}
