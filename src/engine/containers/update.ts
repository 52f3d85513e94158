import { ConflictError, EngineError, InternalError, messageOf } from '../../base/errors.ts';
import type { LinuxResources } from '../oci/runtime-spec.ts';
import type { Container } from './container.ts';
import { checkResources } from './resources/rules.ts';
import { changedLimits, updatedResources } from './resources/update.ts';
import { publish, runtimeNamed, type Room } from './room.ts';
import { scopeLimits, scopeOf } from './scope.ts';
import type { ContainerUpdate, Resources, RestartPolicy } from './spec-types.ts';
import { isLive } from './state.ts';
import { validateRestart } from './validation.ts';

/**
 * Changes limits and restart policy, of the process too where one runs. What does not hold for the process is not
 * written down either.
 */
export async function update(
  room: Room,
  ref: string,
  { resources: asked, restartPolicy }: ContainerUpdate,
): Promise<{ readonly warnings: readonly string[] }> {
  if (restartPolicy !== null) validateRestart(restartPolicy, false);
  const { resources, warnings } = checkResources(asked, room.options, { update: true });
  const container = room.registry.resolve(ref);
  await container.mailbox.run(async () => {
    await updating(container, () => change(room, container, resources, restartPolicy));
    publish(room, container, 'update');
  });
  return { warnings };
}

async function change(
  room: Room,
  container: Container,
  asked: Resources,
  restartPolicy: RestartPolicy | null,
): Promise<void> {
  const { status } = container.state;
  if (container.removing || status === 'removing' || status === 'dead') {
    throw new ConflictError('container is marked for removal and cannot be "update"');
  }
  const { document } = container;
  const { spec } = document;
  const { host } = spec;
  const resources = updatedResources(host.resources, asked);
  if (restartPolicy !== null && restartPolicy.name !== 'no' && host.autoRemove) {
    throw new ConflictError('Restart policy cannot be updated because AutoRemove is enabled for the container');
  }
  if (isLive(container.state)) await applyTo(room, container, asked, resources);
  container.amend({
    ...document,
    spec: { ...spec, host: { ...host, resources, restartPolicy: restartPolicy ?? host.restartPolicy } },
  });
}

async function applyTo(room: Room, container: Container, asked: Resources, updated: Resources): Promise<void> {
  const limits = changedLimits(asked, updated);
  if (Object.keys(limits).length === 0) return;
  if (room.options.cgroup.driver === 'systemd') await limitScope(room, container, limits);
  await runtimeNamed(room, container.document.runtime).update(container.id, limits);
}

/** systemd puts its own back with the next reload of its configuration: it must know the new ones. */
async function limitScope(room: Room, { id }: Container, limits: LinuxResources): Promise<void> {
  await room.units?.limit(scopeOf(id), scopeLimits(limits)).catch((error: unknown) => {
    room.logger.warn('systemd was not told the new limits of a container', { container: id, reason: messageOf(error) });
  });
}

/** Says for which container it failed, as dockerd does. */
async function updating(container: Container, job: () => Promise<void>): Promise<void> {
  try {
    await job();
  } catch (error) {
    const message = `Cannot update container ${container.id}: ${messageOf(error)}`;
    throw error instanceof EngineError
      ? new EngineError(error.kind, message, { cause: error })
      : new InternalError(message, { cause: error });
  }
}
