import { InvalidArgumentError } from '../../../base/errors.ts';
import type { PlannedMount } from '../record.ts';
import type { Room } from '../room.ts';
import type { ContainerSpec } from '../spec-types.ts';
import { secretRequestsOf, type SecretRequest } from './requests.ts';

/**
 * The secrets that a create asks for, checked. Only by the labels of the request: an image that could ask by its own would
 * help itself to what its user has never given it. InvalidArgumentError for one that is not there (no 404, which the CLI
 * takes for a missing image), and for a place that something else is mounted on.
 */
export function secretsOf(
  room: Room,
  asked: Pick<ContainerSpec, 'labels'>,
  mounts: readonly PlannedMount[],
): readonly SecretRequest[] {
  const secrets = secretRequestsOf(asked.labels);
  for (const { name, target } of secrets) {
    if (!room.secrets.has(name)) throw new InvalidArgumentError(`secret ${name} not found`);
    if (mounts.some(({ destination }) => destination === target)) {
      throw new InvalidArgumentError(`Duplicate mount point: ${target}`);
    }
  }
  return secrets;
}
