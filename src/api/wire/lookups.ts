import { NotFoundError } from '../../base/errors.ts';
import type { ContainerView, Engine, NetworkView } from '../../engine/index.ts';
import type { NameLookup } from './host-config-document.ts';
import type { NetworkLookup } from './container-endpoints.ts';

/** Finds networks by name, each once; null where the facade says NotFoundError. */
export function networkLookup({ networks }: Pick<Engine, 'networks'>): NetworkLookup {
  const known = new Map<string, NetworkView | null>();
  const find: NetworkLookup = (name) => {
    try {
      return networks.get(name);
    } catch (error) {
      if (error instanceof NotFoundError) return null;
      throw error;
    }
  };
  return (name) => {
    let network = known.get(name);
    if (network === undefined) known.set(name, (network = find(name)));
    return network;
  };
}

/** Names of containers by id, for what refers to others. */
export function nameLookup({ containers }: Pick<Engine, 'containers'>): NameLookup {
  return (id) => {
    try {
      return containers.get(id).name;
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
