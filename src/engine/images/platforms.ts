import { NotFoundError } from '../../base/errors.ts';
import type { Descriptor, Index, Platform } from '../oci/image-spec.ts';

/** What else a machine runs, best first (containerd's order): older ARM variants, 32-bit x86 on amd64. */
function acceptable(platform: Platform): readonly Platform[] {
  const { os, architecture } = platform;
  if (architecture === 'amd64') return [platform, { os, architecture: '386' }];
  if (architecture === 'arm64') return [platform, ...armVariants(os, 8)];
  if (architecture === 'arm') return armVariants(os, Number(/^v(\d)$/.exec(platform.variant ?? 'v7')?.[1] ?? 7));
  return [platform];
}

/** The entry of an index for a platform. NotFoundError in Docker's words. */
export function chooseManifest(index: Index, platform: Platform): Descriptor {
  // Entries without a platform are fit for any; attestations call theirs unknown/unknown and never match.
  for (const wanted of acceptable(platform)) {
    const found = index.manifests.find((entry) => entry.platform !== undefined && isSame(entry.platform, wanted));
    if (found !== undefined) return found;
  }
  const universal = index.manifests.find((entry) => entry.platform === undefined);
  if (universal !== undefined) return universal;
  throw new NotFoundError(`no matching manifest for ${platformText(platform)} in the manifest list entries`);
}

/** `linux/arm/v7` */
export function platformText({ os, architecture, variant }: Platform): string {
  return variant === undefined || variant === '' ? `${os}/${architecture}` : `${os}/${architecture}/${variant}`;
}

function isSame(a: Platform, b: Platform): boolean {
  return a.os === b.os && a.architecture === b.architecture && variantOf(a) === variantOf(b);
}

/** The variant, with what an architecture means when it names none. */
function variantOf({ architecture, variant = '' }: Platform): string {
  if (architecture === 'arm64' && (variant === 'v8' || variant === '8')) return '';
  if (architecture === 'amd64' && variant === 'v1') return '';
  if (architecture === 'arm') return variant === '' ? 'v7' : variant.startsWith('v') ? variant : `v${variant}`;
  return variant;
}

function armVariants(os: string, highest: number): readonly Platform[] {
  const variants: Platform[] = [];
  for (let version = highest; version >= 5; version -= 1) {
    variants.push({ os, architecture: 'arm', variant: `v${String(version)}` });
  }
  return variants;
}
