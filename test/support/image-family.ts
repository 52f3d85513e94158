/** Images that were made one on the other, as commits and builds leave them, in an image room of a test. */
import type { StoredImage } from '../../src/engine/images/catalog.ts';
import { chainIdsOf, digestOf, type ImageId } from '../../src/engine/oci/digest.ts';
import { parseReference } from '../../src/engine/oci/reference.ts';
import type { TestRoom } from './image-room.ts';

export interface FamilyMember {
  /** Unpacked bytes of each layer; equal names are equal layers. */
  readonly layers: Readonly<Record<string, number>>;
  readonly parent?: ImageId;
  readonly names?: readonly string[];
  readonly created?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** Puts an image into the room's state, with rows for its layers. */
export function addImage(room: Pick<TestRoom, 'images' | 'layerTable'>, member: FamilyMember): ImageId {
  const diffIds = Object.keys(member.layers).map((name) => digestOf(name));
  const chainIds = chainIdsOf(diffIds);
  const layers = Object.values(member.layers).map((sizeBytes, index) => ({
    chainId: chainIds[index] ?? raise('a layer without a chain id'),
    diffId: diffIds[index] ?? raise('a layer without a diff id'),
    parent: chainIds[index - 1] ?? null,
    sizeBytes,
  }));
  for (const layer of layers) if (room.layerTable.get(layer.chainId) === null) room.layerTable.insert(layer);
  const config: StoredImage['document']['config'] = {
    architecture: 'amd64',
    os: 'linux',
    ...(member.created === undefined ? {} : { created: member.created }),
    config: { Labels: member.labels ?? {} },
    rootfs: { type: 'layers', diff_ids: diffIds },
    history: Object.keys(member.layers).map((name) => ({ created_by: name })),
  };
  const id = digestOf(JSON.stringify({ config, parent: member.parent, names: member.names }));
  const { catalog } = room.images.store;
  catalog.transaction(() => {
    const document = {
      config,
      sizeBytes: layers.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      layers: layers.map(({ chainId, sizeBytes }) => ({ chainId, sizeBytes })),
      blobs: { manifest: null, layers: [] },
      ...(member.parent === undefined ? {} : { parent: member.parent }),
    };
    catalog.add({ id, document });
    for (const name of member.names ?? []) {
      const reference = parseReference(name);
      if (reference.digest === null) catalog.setTag(id, reference);
      else catalog.pointDigest(id, reference, reference.digest);
    }
  });
  return id;
}

function raise(message: string): never {
  throw new Error(message);
}
