import { describe, expect, it } from 'vitest';
import { chooseManifest } from '../../../../src/engine/images/platforms.ts';
import type { Index, Platform } from '../../../../src/engine/oci/image-spec.ts';
import { digestOf } from '../../../../src/engine/oci/digest.ts';

const index: Index = {
  schemaVersion: 2,
  manifests: ['linux/amd64', 'linux/386', 'linux/arm64/v8', 'linux/arm/v6', 'linux/arm/v5', 'unknown/unknown'].map(
    (text) => ({
      mediaType: 'm',
      size: 1,
      digest: digestOf(text),
      platform: platform(text),
    }),
  ),
};

function platform(text: string): Platform {
  const [os = '', architecture = '', variant] = text.split('/');
  return { os, architecture, ...(variant === undefined ? {} : { variant }) };
}

describe('chooseManifest', () => {
  it.each([
    ['linux/amd64', 'linux/amd64'],
    ['linux/386', 'linux/386'],
    ['linux/arm64', 'linux/arm64/v8'],
    ['linux/arm64/v8', 'linux/arm64/v8'],
    ['linux/arm/v7', 'linux/arm/v6'],
    ['linux/arm/v5', 'linux/arm/v5'],
  ])('%s takes %s', (wanted, taken) => {
    expect(chooseManifest(index, platform(wanted)).digest).toBe(digestOf(taken));
  });

  it('falls back to what the machine also runs', () => {
    const old = { ...index, manifests: index.manifests.slice(1, 2) };
    expect(chooseManifest(old, platform('linux/amd64')).digest).toBe(digestOf('linux/386'));
  });

  it.each(['linux/s390x', 'linux/arm/v4', 'windows/amd64'])('says so when there is none for %s', (wanted) => {
    expect(() => chooseManifest(index, platform(wanted))).toThrow(
      `no matching manifest for ${wanted} in the manifest list entries`,
    );
  });
});
