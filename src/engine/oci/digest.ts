import { createHash } from 'node:crypto';
import type { Brand } from '../../base/brand.ts';
import { InvalidArgumentError } from '../../base/errors.ts';

/** `sha256:` and 64 hex digits (image-spec, "Digests"). Only sha256 is accepted. */
export type Digest = Brand<string, 'Digest'>;
/** Digest of a layer's uncompressed tar. */
export type DiffId = Brand<string, 'Digest'>;
/** Digest of a stack of layers (image-spec, "Layer ChainID"). */
export type ChainId = Brand<string, 'ChainId'>;
/** Digest of an image's config blob. */
export type ImageId = Brand<string, 'Digest'>;

const PATTERN = /^sha256:[0-9a-f]{64}$/;

/** True for a well-formed sha256 digest. */
export function isDigest(text: string): text is Digest {
  return PATTERN.test(text);
}

/** The text as a Digest; throws InvalidArgumentError otherwise. */
export function parseDigest(text: string): Digest {
  if (!isDigest(text)) throw new InvalidArgumentError(`invalid digest format: ${text}`);
  return text;
}

/** Digest of bytes in memory (configs and manifests; layers are hashed while they stream). */
export function digestOf(bytes: Uint8Array | string): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
}

/** Chain ids of a stack of layers, lowest first: `C0 = D0`, `Cn = sha256(Cn-1 + " " + Dn)`. */
export function chainIdsOf(diffIds: readonly DiffId[]): readonly ChainId[] {
  const chain: ChainId[] = [];
  for (const diffId of diffIds) {
    chain.push(chainIdOn(chain.at(-1) ?? null, diffId));
  }
  return chain;
}

/** Of one layer on a chain that has an id already; null for none. */
export function chainIdOn(parent: ChainId | null, diffId: DiffId): ChainId {
  return (parent === null ? diffId : digestOf(`${parent} ${diffId}`)) as string as ChainId;
}
