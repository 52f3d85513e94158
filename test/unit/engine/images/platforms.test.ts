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

describe('the best of an index', () => {
  const entry = (text: string, wanted: Platform = platform(text)): Index['manifests'][number] => ({
    mediaType: 'm',
    size: 1,
    digest: digestOf(text),
    platform: wanted,
  });
  const of = (...manifests: Index['manifests']): Index => ({ schemaVersion: 2, manifests });
  const host = platform('linux/amd64/v3');

  it('is the one for the highest level that the CPU has', () => {
    const levels = of(entry('linux/amd64'), entry('linux/amd64/v4'), entry('linux/amd64/v2'), entry('linux/386'));
    expect(chooseManifest(levels, host).digest).toBe(digestOf('linux/amd64/v2'));
    expect(chooseManifest(levels, platform('linux/amd64')).digest).toBe(digestOf('linux/amd64'));
  });

  it('is the first of equals, and one without a platform when there is no other', () => {
    const twice = of(
      entry('any', { os: '', architecture: '' }),
      entry('first', platform('linux/amd64')),
      entry('linux/amd64'),
    );
    expect(chooseManifest(twice, host).digest).toBe(digestOf('first'));
    expect(chooseManifest(twice, platform('linux/s390x')).digest).toBe(digestOf('any'));
  });

  it('names the machine without its level when there is none', () => {
    expect(() => chooseManifest(of(entry('linux/s390x')), host, platform('linux/amd64'))).toThrow(
      'no matching manifest for linux/amd64 in the manifest list entries',
    );
  });
});
