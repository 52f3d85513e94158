/** Body of `POST /containers/{id}/update`. */
import type { ContainerUpdate } from '../../engine/index.ts';
import type { ApiVersion } from '../compat/version.ts';
import { struct, type ValueOf } from './go-struct.ts';
import { HOST_CONFIG_FIELDS } from './host-config.ts';
import { resourcesOf, restartPolicyOf } from './host-options.ts';

/** Docker embeds all resources beside the policy; those that it cannot change are read and not looked at. */
export const UPDATE_REQUEST = struct('container.UpdateConfig', HOST_CONFIG_FIELDS);

/** In the engine's words. InvalidArgumentError for a policy that there is not. */
export function containerUpdateOf(request: ValueOf<typeof UPDATE_REQUEST>, version: ApiVersion): ContainerUpdate {
  const { KernelMemory: kernelMemory = 0, PidsLimit: pidsLimit = null } = request;
  const pids = version.before('1.40') ? null : pidsLimit;
  return {
    resources: {
      ...resourcesOf(request),
      // Both 0 and negative values mean "without limit"; only null says nothing.
      pidsLimit: pids === null ? null : Math.max(0, pids),
      // The field went with 1.42.
      kernelMemoryBytes: version.atLeast('1.42') ? 0 : kernelMemory,
    },
    restartPolicy: (request.RestartPolicy?.Name ?? '') === '' ? null : restartPolicyOf(request),
  };
}
