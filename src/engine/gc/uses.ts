/** Notes when images are put to use, from what the rooms tell of themselves. */
import type { Containers } from '../containers/types.ts';
import type { EngineEvent, Events } from '../events/types.ts';
import type { ImageRoom } from '../images/index.ts';

/** A container's image is in use from create to destroy: its end counts as well as its beginning. */
const CONTAINER_ACTIONS: ReadonlySet<string> = new Set(['create', 'start', 'die', 'destroy']);
const IMAGE_ACTIONS: ReadonlySet<string> = new Set(['pull', 'load', 'import', 'tag', 'save', 'push']);

interface Rooms {
  readonly containers: Pick<Containers, 'list' | 'get'>;
  readonly images: Pick<ImageRoom, 'touch'>;
  readonly events: Pick<Events, 'listen'>;
}

/** From now on until disposed of. */
export function followUses({ containers, images, events }: Rooms): Disposable {
  const imageOf = new Map<string, string>();
  for (const { id, imageId } of containers.list()) imageOf.set(id, imageId);
  const used = ({ type, action, actorId }: EngineEvent): string | null => {
    if (type === 'image') return IMAGE_ACTIONS.has(action) ? actorId : null;
    if (type !== 'container' || !CONTAINER_ACTIONS.has(action)) return null;
    if (action === 'create') imageOf.set(actorId, containers.get(actorId).imageId);
    const image = imageOf.get(actorId) ?? null;
    if (action === 'destroy') imageOf.delete(actorId);
    return image;
  };
  return events.listen((event) => {
    const ref = used(event);
    if (ref !== null) images.touch(ref);
  });
}
