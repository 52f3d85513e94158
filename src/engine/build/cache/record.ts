import type { Timestamp } from '../../../base/clock.ts';
import type { ChainId, Digest, DiffId } from '../../oci/digest.ts';
import type { BuildStepRow } from '../../state/build-steps.ts';
import type { CapturedLayer } from '../../storage/packing.ts';

/** What column `build_step.doc` holds, as JSON. */
export interface StepDocument {
  /** The instruction, for people. */
  readonly description: string;
  /** Beside the columns; null: the step changed the configuration alone. */
  readonly layer: {
    readonly diffId: DiffId;
    readonly sizeBytes: number;
    readonly blobSizeBytes: number;
    /** Of a blob that was not made here; absent: gzip. */
    readonly mediaType?: string;
  } | null;
}

/** What a step made, by what it was made of. */
export interface CachedStep {
  readonly key: string;
  /** The nearest step below that has made a layer; null: it stands on an image. */
  readonly parent: string | null;
  readonly description: string;
  readonly createdAt: Timestamp;
  readonly layer: CapturedLayer | null;
}

/** Key and document as a row, never used yet. */
export function rowOf({ key, parent, description, createdAt, layer }: CachedStep): BuildStepRow {
  const document: StepDocument = { description, layer: layer === null ? null : wordsOf(layer) };
  return {
    key,
    parent,
    chainId: layer?.chainId ?? null,
    blob: layer?.blob.digest ?? null,
    createdAt,
    usedAt: createdAt,
    uses: 0,
    doc: JSON.stringify(document),
  };
}

function wordsOf({ diffId, sizeBytes, blob }: CapturedLayer): StepDocument['layer'] {
  const { sizeBytes: blobSizeBytes, mediaType } = blob;
  return { diffId, sizeBytes, blobSizeBytes, ...(mediaType === undefined ? {} : { mediaType }) };
}

/** What a row holds that names a layer whatever is below it; null: nothing. */
export function linkedOf({ blob, doc }: BuildStepRow): Pick<CapturedLayer, 'diffId' | 'blob'> | null {
  const { layer } = JSON.parse(doc) as StepDocument;
  if (layer === null || blob === null) return null;
  return { diffId: layer.diffId, blob: { digest: blob, sizeBytes: layer.blobSizeBytes } };
}

/** The step of a row. */
export function stepOf({ key, parent, chainId, blob, createdAt, doc }: BuildStepRow): CachedStep {
  const { description, layer } = JSON.parse(doc) as StepDocument;
  return {
    key,
    parent,
    description,
    createdAt,
    layer: layer === null || chainId === null || blob === null ? null : capturedOf(layer, chainId, blob),
  };
}

function capturedOf(
  { diffId, sizeBytes, blobSizeBytes, mediaType }: NonNullable<StepDocument['layer']>,
  chainId: ChainId,
  blob: Digest,
): CapturedLayer {
  const written = { digest: blob, sizeBytes: blobSizeBytes, ...(mediaType === undefined ? {} : { mediaType }) };
  return { chainId, diffId, sizeBytes, blob: written };
}
