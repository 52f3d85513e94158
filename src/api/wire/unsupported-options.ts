/**
 * Fields of a create request that mean nothing on Linux: what would change how the container runs is refused, what
 * dockerd on Linux ignores is answered by a warning.
 */
import { InvalidArgumentError } from '../../base/errors.ts';
import type { HostConfigDocument } from './host-config.ts';

/** Refuses what cannot be honoured (InvalidArgumentError in Docker's words); returns warnings for the rest. */
export function checkUnsupported(host: HostConfigDocument): readonly string[] {
  if (!['', 'default'].includes((host.Isolation ?? '').toLowerCase())) {
    throw new InvalidArgumentError(
      `invalid isolation: ${JSON.stringify(host.Isolation)} - linux only supports 'default'`,
    );
  }
  if ((host.IOMaximumBandwidth ?? 0) !== 0) {
    throw new InvalidArgumentError('invalid QoS settings: linux does not support configuration of maximum bandwidth');
  }
  if ((host.IOMaximumIOps ?? 0) !== 0) {
    throw new InvalidArgumentError('invalid QoS settings: linux does not support configuration of maximum IOPs');
  }
  return [
    ...((host.CpuPercent ?? 0) > 0 ? ['linux does not support CPU percent. Percent discarded.'] : []),
    ...((host.CpuCount ?? 0) > 0 ? ['linux does not support CPU count. Count discarded.'] : []),
    // dockerd keeps the word and does nothing with it.
    ...((host.Cgroup ?? '') === '' ? [] : ['Cgroup has no effect on linux. Setting discarded.']),
  ];
}
