import { NotFoundError } from '../../base/errors.ts';
import type { ContainerView, Engine } from '../../engine/index.ts';
import type { NetworkLookup } from './container-network.ts';

/** Finds networks by name; null where the facade says NotFoundError. */
export function networkLookup({ networks }: Pick<Engine, 'networks'>): NetworkLookup {
  return (name) => {
    try {
      return networks.get(name);
    } catch (error) {
      if (error instanceof NotFoundError) return null;
      throw error;
    }
  };
}

/** Whether a container's image reference still means its image; lists show the id otherwise. */
export function isCurrentReference({ images }: Pick<Engine, 'images'>): (view: ContainerView) => boolean {
  const known = new Map<string, string | null>();
  return ({ spec, imageId }) => {
    let id = known.get(spec.image);
    if (id === undefined) {
      id = images.find(spec.image)?.id ?? null;
      known.set(spec.image, id);
    }
    return id === imageId;
  };
}
