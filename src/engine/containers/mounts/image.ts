/** Mounting an image's tree, read-only, into a container (`--mount type=image`): a view of its own of the image's layers. */
import { mkdirSync } from 'node:fs';
import { InvalidArgumentError } from '../../../base/errors.ts';
import type { ChainId } from '../../oci/digest.ts';
import type { IdMapping } from '../../oci/id-mapping.ts';
import type { Mount } from '../../oci/mount.ts';
import type { Container } from '../container.ts';
import type { PlannedMount } from '../record.ts';
import type { Room } from '../room.ts';
import type { MountedTree } from '../spec-types.ts';
import { mountMapped } from '../userns.ts';
import { viewKeyOf } from './image-views.ts';
import { bindSubpath, type SubpathCalls } from './subpath.ts';

/** Where an image is mounted, and for whose ids. */
export interface ImageGround {
  readonly room: Room;
  readonly container: Container;
  readonly place: string;
  /** Of the user namespace that it is mounted for; null: the host's ids. */
  readonly mapping: IdMapping | null;
}

/** Mounts the image, or the part of it that is asked for; returns the place. The container's `directory` holds it. */
export async function mountImage(
  { room, container, place, mapping }: ImageGround,
  planned: PlannedMount,
): Promise<string> {
  const key = viewKeyOf(container, planned);
  if (planned.tree === undefined) await room.images.provide(planned.source);
  const mounts = await container.holds.take(key, async () => viewOf(room, key, planned));
  const tree = `${place}-image`;
  mkdirSync(tree, { recursive: true, mode: 0o700 });
  if (mapping === null) for (const mount of mounts) room.kernel.mounts.mount(mount, tree);
  // The view itself, being an overlay, could not be mapped later.
  else mountMapped(room, mounts, tree, mapping);
  const { subpath = '' } = planned;
  if (subpath === '') return tree;
  bindSubpath(
    { files: planned.tree === undefined ? room.files : insideOf(room), mounts: room.kernel.mounts },
    tree,
    subpath,
    place,
  );
  return place;
}

/** Links of a build's tree lead where they would if it were the root, as BuildKit resolves them. */
function insideOf({ files }: Room): SubpathCalls['files'] {
  return { openWithin: (root, path, flags) => files.openBeneath(root, path, flags) };
}

/** There already where a start has failed, or was made before. */
async function viewOf(room: Room, key: string, planned: PlannedMount): Promise<readonly Mount[]> {
  const { tree } = planned;
  if (tree?.kind === 'overlay') return [overlayOf(tree)];
  const isThere = (await room.storage.stat(key)) !== null;
  if (isThere) return room.storage.mounts(key);
  const chain = tree?.top ?? chainOf(room, planned);
  return planned.readOnly ? room.storage.view(key, chain) : room.storage.prepare(key, chain);
}

function overlayOf({ lower, upper, work }: Extract<MountedTree, { readonly kind: 'overlay' }>): Mount {
  const options = [`lowerdir=${escaped(lower)}`, `upperdir=${escaped(upper)}`, `workdir=${escaped(work)}`];
  return { type: 'overlay', source: 'overlay', options };
}

/** A colon stands between lower directories, a comma between options. */
function escaped(path: string): string {
  return path.replace(/[\\:,]/g, '\\$&');
}

function chainOf(room: Room, { source }: PlannedMount): ChainId {
  const { chainId } = room.images.get(source, null);
  if (chainId === null) throw new InvalidArgumentError(`image ${source} has no files to mount`);
  return chainId;
}
