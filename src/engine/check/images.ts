import { messageOf } from '../../base/errors.ts';
import type { StoredImage } from '../images/catalog.ts';
import { neededBlobs } from '../images/record.ts';
import { chainIdsOf, digestOf, type Digest } from '../oci/digest.ts';
import type { CheckRun, Fault } from './ground.ts';
import { runningOn } from './layers.ts';

type Mending = Awaited<ReturnType<NonNullable<Fault['mend']>>>;

/** Every image: is all that it names there? */
export async function checkImages(run: CheckRun): Promise<void> {
  const images = run.images();
  for (const [index, image] of images.entries()) {
    run.progress('images', index, images.length);
    const { layers, blobs } = image.document;
    using _pin = await run.needs.images.collector.pin({
      layers: layers.map(({ chainId }) => chainId),
      blobs: neededBlobs(image.id, image.document),
    });
    // Removed since the list was made.
    if (run.needs.images.catalog.get(image.id) === null) continue;
    run.counts.images += 1;
    await checkConfig(run, image);
    if (blobs.manifest !== null && !(await run.hasBlob(blobs.manifest))) {
      await reportMissing(run, image, blobs.manifest, 'its manifest is missing');
    }
    await checkLayersOf(run, image);
    await clearMarks(run, image);
  }
}

async function checkConfig(run: CheckRun, image: StoredImage): Promise<void> {
  if (await run.hasBlob(image.id)) return;
  // What was made here was made of exactly these bytes.
  const bytes = Buffer.from(JSON.stringify(image.document.config));
  if (digestOf(bytes) !== image.id) {
    await reportMissing(run, image, image.id, 'its config is missing');
    return;
  }
  await run.report({
    kind: 'image',
    subject: run.nameOf(image),
    problem: 'its config is missing',
    remedy: 'can be written again',
    mend: async () => {
      await run.needs.content.remove(image.id);
      await run.needs.content.put(bytes);
      run.badBlobs.delete(image.id);
      return { outcome: 'repaired', remedy: 'written again' };
    },
  });
}

async function checkLayersOf(run: CheckRun, image: StoredImage): Promise<void> {
  const { config, layers, blobs } = image.document;
  const { diff_ids: diffIds } = config.rootfs;
  const chainIds = chainIdsOf(diffIds);
  for (const [index, { chainId }] of layers.entries()) {
    const diffId = diffIds[index];
    if (diffId === undefined || chainIds[index] !== chainId) {
      const problem = `its layer ${chainId} is not that of its config`;
      await run.report({
        kind: 'image',
        subject: run.nameOf(image),
        problem,
        remedy: 'remove it and pull it again',
        mend: null,
      });
      continue;
    }
    const blob = await run.blobFor(diffId);
    // After a change of storage driver it is unpacked when it is first needed.
    const isToCome = blob !== null && run.isElsewhere(chainId);
    if (run.needs.layerTable.get(chainId) === null && !isToCome) {
      await run.report({
        kind: 'image',
        subject: run.nameOf(image),
        problem: `its layer ${chainId} is missing`,
        remedy: blob === null ? 'pull it again' : 'can be unpacked again from its blob',
        mend: async () => unpackAgain(run, image, index, blob),
      });
    }
    const own = blobs.layers[index];
    // A pull does not fetch the blob of a layer that is there: any blob of the same content will do.
    if (blob === null && own !== undefined)
      await reportMissing(run, image, own.digest, 'the blob of a layer is missing');
  }
}

async function unpackAgain(run: CheckRun, image: StoredImage, index: number, blob: Digest | null): Promise<Mending> {
  const { layers, content } = run.needs;
  const { document } = image;
  const [layer, diffId] = [document.layers[index], document.config.rootfs.diff_ids[index]];
  if (layer === undefined || diffId === undefined) return { outcome: 'remains', remedy: 'pull it again' };
  if (blob === null) {
    run.mark([image], layer.chainId, 'layer');
    return { outcome: 'remains', remedy: 'marked; pull it again' };
  }
  const parent = document.layers[index - 1]?.chainId ?? null;
  const running = await runningOn(run, run.needs, layer.chainId);
  if (running.length > 0) return { outcome: 'remains', remedy: `stop ${running.join(', ')} and repair again` };
  const { signal } = run.options;
  try {
    // Its files may be there, and only its row is not.
    await layers.unpack({ blobPath: await content.pathOf(blob), parent, diffId, signal, again: true });
    return { outcome: 'repaired', remedy: 'unpacked again from its blob' };
  } catch (error) {
    run.options.signal.throwIfAborted();
    return { outcome: 'remains', remedy: `it could not be unpacked again: ${messageOf(error)}` };
  }
}

/** It runs as before, but cannot be pushed or saved. */
async function reportMissing(run: CheckRun, image: StoredImage, digest: Digest, problem: string): Promise<void> {
  const remedy = 'pull it again';
  await run.report({
    kind: 'image',
    subject: run.nameOf(image),
    problem: `${problem}: ${digest}`,
    remedy,
    mend: async () => {
      run.mark([image], digest, 'blob');
      return { outcome: 'remains', remedy: `marked; ${remedy}` };
    },
  });
}

/** What came back in another way than by a pull is no flaw any more. */
async function clearMarks(run: CheckRun, image: StoredImage): Promise<void> {
  if (!run.options.repair) return;
  const { upkeep } = run.needs.images;
  for (const { subject, kind } of upkeep.flawsOf(image.id)) {
    if (kind === 'blob' && (await run.hasBlob(subject as Digest))) upkeep.clearFlaws([subject]);
  }
}
