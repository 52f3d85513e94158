import { describe, expect, it } from 'vitest';
import type { Platform } from '../../../../src/engine/oci/image-spec.ts';
import {
  fits,
  normalizePlatform,
  platformText,
  runnablePlatforms,
  suitability,
} from '../../../../src/engine/oci/platform.ts';

function platform(text: string): Platform {
  const [os = '', architecture = '', variant] = text.split('/');
  return { os, architecture, ...(variant === undefined ? {} : { variant }) };
}

describe('the one spelling of a platform', () => {
  it.each([
    ['Linux/X86_64', 'linux/amd64'],
    ['linux/x86-64', 'linux/amd64'],
    ['linux/amd64/v1', 'linux/amd64'],
    ['linux/amd64/v3', 'linux/amd64/v3'],
    ['linux/i386', 'linux/386'],
    ['linux/aarch64', 'linux/arm64'],
    ['linux/arm64/v8', 'linux/arm64'],
    ['linux/arm64/8', 'linux/arm64'],
    ['linux/arm64/9', 'linux/arm64/v9'],
    ['linux/arm64/v8.2', 'linux/arm64/v8.2'],
    ['linux/arm', 'linux/arm/v7'],
    ['linux/arm/6', 'linux/arm/v6'],
    ['linux/armhf', 'linux/arm/v7'],
    ['linux/armel', 'linux/arm/v6'],
    ['macos/arm64', 'darwin/arm64'],
    ['/s390x', 'linux/s390x'],
  ])('of %s is %s', (given, expected) => {
    expect(platformText(normalizePlatform(platform(given)))).toBe(expected);
  });

  it('keeps the version of the operating system', () => {
    const windows = { os: 'Windows', architecture: 'amd64', 'os.version': '10.0.17763' };
    expect(platformText(normalizePlatform(windows))).toBe('windows(10.0.17763)/amd64');
  });

  it('is text without empty parts', () => {
    expect(platformText({ os: 'linux', architecture: '', variant: '' })).toBe('linux');
    expect(platformText({ os: '', architecture: 'amd64' })).toBe('unknown');
  });
});

describe('what a machine runs', () => {
  it.each([
    ['linux/amd64', ['linux/amd64', 'linux/386']],
    ['linux/amd64/v3', ['linux/amd64/v3', 'linux/amd64/v2', 'linux/amd64', 'linux/386']],
    ['linux/386', ['linux/386']],
    ['linux/arm/v7', ['linux/arm/v7', 'linux/arm/v6', 'linux/arm/v5']],
    ['linux/arm/v5', ['linux/arm/v5']],
    ['linux/arm64', ['linux/arm64', 'linux/arm/v8', 'linux/arm/v7', 'linux/arm/v6', 'linux/arm/v5']],
    ['linux/s390x', ['linux/s390x']],
    ['linux/arm64/v77', []],
  ])('%s', (machine, expected) => {
    expect(runnablePlatforms(platform(machine)).map(platformText)).toEqual(expected);
  });

  it('knows that ARM v9.x has the instructions of v8.(x+5)', () => {
    const texts = runnablePlatforms(platform('linux/arm64/v9.5')).map(platformText);
    expect(texts.slice(0, 8)).toEqual([
      'linux/arm64/v9.5',
      'linux/arm64/v9.4',
      'linux/arm64/v9.3',
      'linux/arm64/v9.2',
      'linux/arm64/v9.1',
      'linux/arm64/v9',
      'linux/arm64/v8.9',
      'linux/arm64/v8.8',
    ]);
    expect(texts).toContain('linux/arm64');
    expect(texts.at(-1)).toBe('linux/arm/v5');
  });

  it('tells how well an image suits', () => {
    const machine = runnablePlatforms(platform('linux/amd64/v2'));
    expect(suitability(platform('linux/amd64/v2'), machine)).toBe(0);
    expect(suitability(platform('linux/x86_64'), machine)).toBe(1);
    expect(suitability(platform('linux/386'), machine)).toBe(2);
    expect(suitability(platform('linux/amd64/v3'), machine)).toBeNull();
    expect(suitability(platform('unknown/unknown'), machine)).toBeNull();
  });
});

describe('whether an image fits', () => {
  it.each([
    ['linux/amd64', 'linux/amd64/v3', true],
    ['linux/amd64', 'linux/arm64', false],
    ['linux/arm/v6', 'linux/arm/v7', true],
    ['linux/arm/v7', 'linux/arm/v6', false],
    // Its config names no variant, as most do.
    ['linux/arm', 'linux/arm/v6', true],
    ['linux/arm64', 'linux/arm64/v9', true],
    ['linux/386', 'linux/amd64', true],
    ['windows/amd64', 'linux/amd64', false],
    ['linux/', 'linux/amd64', false],
  ])('%s for %s: %s', (image, wanted, expected) => {
    expect(fits(platform(image), platform(wanted))).toBe(expected);
  });
});
