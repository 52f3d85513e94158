import type { Images } from '../images/types.ts';
import type { EngineImageGc } from './index.ts';

/** The image room whose verbs that bring content in make room first, where the rules say so. */
export function withRoomFirst<Room extends Images>(images: Room, gc: Pick<EngineImageGc, 'relieve'>): Room {
  return {
    ...images,
    pull: async (reference, options) => {
      await gc.relieve();
      return images.pull(reference, options);
    },
    load: async (archive, options) => {
      await gc.relieve();
      return images.load(archive, options);
    },
    importTar: async (archive, options) => {
      await gc.relieve();
      return images.importTar(archive, options);
    },
  };
}
