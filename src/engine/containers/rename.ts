import { InvalidArgumentError } from '../../base/errors.ts';
import { parseName } from './names.ts';
import { publish, type Room } from './room.ts';

export async function rename(room: Room, ref: string, to: string): Promise<void> {
  const container = room.registry.resolve(ref);
  if (to === '') throw new InvalidArgumentError('Neither old nor new names may be empty');
  const name = parseName(to);
  await container.mailbox.run(() => {
    const old = container.name;
    if (name === old) throw new InvalidArgumentError('Renaming a container with the same name as its current name');
    room.registry.reserveName(name, container.id);
    try {
      container.rename(name);
    } catch (error) {
      room.registry.releaseName(name);
      throw error;
    }
    room.registry.releaseName(old);
    publish(room, container, 'rename', { oldName: `/${old}` });
  });
}
