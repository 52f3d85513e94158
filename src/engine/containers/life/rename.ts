import { EngineError, InvalidArgumentError } from '../../../base/errors.ts';
import { noSuchContainer } from '../errors.ts';
import { parseName } from '../create/names.ts';
import { publish, type Room } from '../room.ts';
import { isLive } from '../state.ts';

export async function rename(room: Room, ref: string, to: string): Promise<void> {
  const container = room.registry.resolve(ref);
  if (to === '') throw new InvalidArgumentError('Neither old nor new names may be empty');
  const name = allocating(() => parseName(to.startsWith('/') ? to : `/${to}`));
  await container.mailbox.run(() => {
    // A removal may have been before it in the mailbox: a name given to nobody would be taken for ever.
    if (room.registry.get(container.id) === null) throw noSuchContainer(ref);
    const old = container.name;
    if (name === old) throw new InvalidArgumentError('Renaming a container with the same name as its current name');
    allocating(() => room.registry.reserveName(name, container.id));
    try {
      container.rename(name);
    } catch (error) {
      room.registry.releaseName(name);
      throw error;
    }
    room.registry.releaseName(old);
    const sandbox = isLive(container.state) ? room.networks.renamed(container.id, name) : null;
    if (sandbox !== null) container.update({ sandbox });
    publish(room, container, 'rename', { oldName: `/${old}` });
  });
}

/** Docker says of a name that cannot be had what it was wanted for; Compose's users search for it. */
function allocating<T>(job: () => T): T {
  try {
    return job();
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    throw new EngineError(error.kind, `Error when allocating new name: ${error.message}`, { cause: error });
  }
}
