import { formatTimestamp } from '../../base/clock.ts';
import type { ImageId } from '../oci/digest.ts';
import type { HistoryEntry, ImageRunConfig } from '../oci/image-spec.ts';
import { familiarString } from '../oci/reference.ts';
import type { CapturedLayer } from '../storage/packing.ts';
import type { StoredImage } from './catalog.ts';
import { applyChanges } from '../dockerfile/changes.ts';
import { configDocument } from './config-document.ts';
import { mergeConfig } from './merge-config.ts';
import type { ImageContext } from './context.ts';
import type { ImageDocument } from './record.ts';
import { nameForNew } from './tag.ts';
import type { CommitRequest } from './types.ts';
import { childDocument, holdNew, newImage, writeImages } from './write.ts';

/** Makes an image of a snapshot. Everything that can be wrong with the words is found before `quiesce` is called. */
export async function commitImage(context: ImageContext, request: CommitRequest): Promise<ImageId> {
  const { catalog, collector, content } = context;
  const name = nameForNew(request.repository, request.tag);
  const parent = catalog.lookUp(request.parent);
  const config = mergeConfig(
    applyChanges(request.changes, request.config ?? request.containerConfig),
    request.containerConfig,
  );
  // Until the new image names them, too: the parent may be removed meanwhile.
  using _parents = await collector.pin({
    layers: parent.document.layers.map(({ chainId }) => chainId),
    blobs: catalog.tables.blobsOf(parent.id),
  });
  await using draft = await content.draft();
  await request.quiesce();
  const layer = await context.packer.capture({
    snapshot: request.snapshot,
    parent: parent.document.layers.at(-1)?.chainId ?? null,
    blobPath: draft.path,
    scaffold: request.scaffold,
    onTaken: request.onTaken,
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  });
  const image = newImage(documentOf(context, request, { parent, config, layer }));
  const { id } = image;
  await using _held = await holdNew(collector, {
    layers: layer === null ? [] : [layer.chainId],
    blobs: layer === null ? [id] : [id, layer.blob.digest],
  });
  if (layer !== null) await draft.publish(layer.blob);
  const { signal } = request;
  await writeImages(context, [image], {
    names: name === null ? [] : [name],
    ...(signal === undefined ? {} : { signal }),
  });
  catalog.publish('create', id, id, image);
  if (name !== null) catalog.publish('tag', id, familiarString(name), image);
  return id;
}

interface Made {
  readonly parent: StoredImage;
  readonly config: ImageRunConfig;
  /** Null: nothing has changed. */
  readonly layer: CapturedLayer | null;
}

function documentOf(context: ImageContext, request: CommitRequest, { parent, config, layer }: Made): ImageDocument {
  const created = formatTimestamp(context.clock.now());
  const { author, containerConfig, containerId } = request;
  return childDocument({
    parent,
    platform: context.platform,
    config,
    made: { container: containerId, container_config: configDocument(containerConfig) },
    author,
    created,
    history: historyEntry(request, created, layer === null),
    layer,
    engineVersion: context.engineVersion,
  });
}

function historyEntry(
  { containerConfig, author, comment }: CommitRequest,
  created: string,
  isEmpty: boolean,
): HistoryEntry {
  const command = (containerConfig.Cmd ?? []).join(' ');
  return {
    created,
    ...(author === '' ? {} : { author }),
    ...(command === '' ? {} : { created_by: command }),
    ...(comment === '' ? {} : { comment }),
    ...(isEmpty ? { empty_layer: true } : {}),
  };
}
