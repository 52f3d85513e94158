import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../../../src/base/errors.ts';
import { goArchitecture, parsePlatform, parsePlatformJson } from '../../../../src/api/wire/platform.ts';

describe('a platform in words', () => {
  it.each([
    ['linux/amd64', { os: 'linux', architecture: 'amd64' }],
    ['linux/x86_64', { os: 'linux', architecture: 'amd64' }],
    ['Linux/ARM64', { os: 'linux', architecture: 'arm64' }],
    ['linux/arm64/v8', { os: 'linux', architecture: 'arm64', variant: 'v8' }],
    ['linux/arm64/v9', { os: 'linux', architecture: 'arm64', variant: 'v9' }],
    ['linux/arm', { os: 'linux', architecture: 'arm' }],
    ['linux/arm/v7', { os: 'linux', architecture: 'arm', variant: 'v7' }],
    ['arm', { os: 'linux', architecture: 'arm' }],
    ['armel', { os: 'linux', architecture: 'arm', variant: 'v6' }],
    ['s390x', { os: 'linux', architecture: 's390x' }],
    ['plan9/z80', { os: 'plan9', architecture: 'z80' }],
    ['windows(10.0.17763)/amd64', { os: 'windows', architecture: 'amd64', 'os.version': '10.0.17763' }],
  ])('%s', (text, expected) => {
    expect(parsePlatform(text)).toEqual(expected);
  });

  it('completes an operating system with the machine', () => {
    expect(parsePlatform('linux')).toEqual({
      os: 'linux',
      architecture: goArchitecture(process.arch === 'x64' ? 'x86_64' : process.arch),
    });
    expect(parsePlatform('')).toBeNull();
  });

  it.each([
    ['foo', '"foo": unknown operating system or architecture: invalid argument'],
    ['linux/*', '"linux/*": wildcards not yet supported: invalid argument'],
    ['a/b/c/d', '"a/b/c/d": cannot parse platform specifier: invalid argument'],
    ['a/b/c/d/e', '"a/b/c/d/e": cannot parse platform specifier: invalid argument'],
    [
      'linux/am d64',
      '"am d64" is an invalid component of "linux/am d64": platform specifier component must match ' +
        '"^[A-Za-z0-9_.-]+$": invalid argument',
    ],
    [
      'li nux/amd64',
      '"li nux" is an invalid OS component of "li nux/amd64": OSAndVersion specifier component must match ' +
        '"^([A-Za-z0-9_-]+)(?:\\\\(([A-Za-z0-9_.-]*)\\\\))?$": invalid argument',
    ],
  ])('refuses %s', (text, message) => {
    expect(() => parsePlatform(text)).toThrow(new InvalidArgumentError(message));
  });
});

describe('a platform as JSON', () => {
  it('is read as Go reads it', () => {
    expect(parsePlatformJson('{"os":"linux","architecture":"arm","variant":"v7","x":1}')).toEqual({
      os: 'linux',
      architecture: 'arm',
      variant: 'v7',
    });
    expect(parsePlatformJson('{"OS":"windows","Architecture":"amd64","os.version":"10"}')).toEqual({
      os: 'windows',
      architecture: 'amd64',
      'os.version': '10',
    });
    expect(parsePlatformJson('')).toBeNull();
  });

  it.each([
    ['{"variant":"v7"}', 'optional platform fields provided, but OS and Architecture are missing'],
    ['{"os.features":["x"]}', 'optional platform fields provided, but OS and Architecture are missing'],
    ['{}', 'both OS and Architecture must be provided'],
    ['null', 'both OS and Architecture must be provided'],
    ['{"os":"linux"}', 'both OS and Architecture must be provided'],
    ['linux/amd64', "failed to parse platform: invalid character 'l' looking for beginning of value"],
    ['[]', 'failed to parse platform: json: cannot unmarshal array into Go value of type v1.Platform'],
  ])('refuses %s', (text, message) => {
    expect(() => parsePlatformJson(text)).toThrow(new InvalidArgumentError(message));
  });
});
