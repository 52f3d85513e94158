import { NotFoundError } from '../../base/errors.ts';
import type { Descriptor, Index, Platform } from '../oci/image-spec.ts';
import { fits, platformText, runnablePlatforms, suitability } from '../oci/platform.ts';
import { familiarString, parseReference } from '../oci/reference.ts';

/**
 * The entry of an index for a platform: the one that suits best, the first of equals. NotFoundError in Docker's words,
 * which name `asked` (the machine's platform without its CPU level when nobody asked for one).
 */
export function chooseManifest(index: Index, platform: Platform, asked: Platform = platform): Descriptor {
  const runnable = runnablePlatforms(platform);
  let best: { readonly entry: Descriptor; readonly place: number } | null = null;
  for (const entry of index.manifests) {
    // Entries without a platform are fit for any; attestations call theirs unknown/unknown and never match.
    const place = isUniversal(entry) ? runnable.length : suitability(entry.platform ?? platform, runnable);
    if (place !== null && (best === null || place < best.place)) best = { entry, place };
  }
  if (best !== null) return best.entry;
  throw new NotFoundError(`no matching manifest for ${platformText(asked)} in the manifest list entries`);
}

function isUniversal({ platform }: Descriptor): boolean {
  return platform === undefined || (platform.os === '' && platform.architecture === '');
}

/** What dockerd 28 says of an image that is there, but for another platform. */
export function platformMismatch(ref: string, image: Platform, wanted: Platform): string {
  return (
    `image with reference ${shownReference(ref)} was found but its platform (${platformText(image)}) does not match ` +
    `the specified platform (${platformText(wanted)})`
  );
}

/** NotFoundError when an image is not for the platform that was asked for; null asks for none. */
export function assertFits(ref: string, image: Platform, wanted: Platform | null): void {
  if (wanted !== null && !fits(image, wanted)) throw new NotFoundError(platformMismatch(ref, image, wanted));
}

/** A name in full is shown as users write it; anything else as it came. */
function shownReference(ref: string): string {
  return ref.startsWith('docker.io/') && ref.slice('docker.io/'.length).includes('/')
    ? familiarString(parseReference(ref))
    : ref;
}
