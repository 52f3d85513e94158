import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  canonicalName,
  familiarName,
  familiarString,
  parseReference,
  withDefaultTag,
} from '../../../../src/engine/oci/reference.ts';

const HEX = '0123456789abcdef'.split('');
const digest = fc
  .array(fc.constantFrom(...HEX), { minLength: 64, maxLength: 64 })
  .map((hex) => `sha256:${hex.join('')}`);
const component = fc.stringMatching(/^[a-z0-9]{1,8}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,8}){0,2}$/);
const path = fc.array(component, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
const domain = fc.oneof(
  fc.constantFrom('localhost', 'localhost:5000', '127.0.0.1:1', '[::1]:5000', 'Registry.example.com', 'docker.io'),
  fc.stringMatching(/^[a-z]{1,8}\.[a-z]{2,5}(?::[0-9]{1,5})?$/),
);
const tag = fc.stringMatching(/^\w[\w.-]{0,20}$/);

describe('parseReference', () => {
  it.each([
    ['busybox', 'docker.io', 'library/busybox', 'busybox'],
    ['busybox:1', 'docker.io', 'library/busybox', 'busybox:1'],
    ['a/b', 'docker.io', 'a/b', 'a/b'],
    ['docker.io/cc:1', 'docker.io', 'library/cc', 'cc:1'],
    ['index.docker.io/dd', 'docker.io', 'library/dd', 'dd'],
    ['library/ee:1', 'docker.io', 'library/ee', 'ee:1'],
    ['localhost/x', 'localhost', 'x', 'localhost/x'],
    ['localhost:5000/a/b:t', 'localhost:5000', 'a/b', 'localhost:5000/a/b:t'],
    ['Foo.com/x', 'Foo.com', 'x', 'Foo.com/x'],
    ['library/a/b', 'docker.io', 'library/a/b', 'library/a/b'],
    ['docker.io/a.b/c', 'docker.io', 'a.b/c', 'docker.io/a.b/c'],
  ])('reads %s', (text, expectedDomain, expectedPath, familiar) => {
    const reference = parseReference(text);
    expect(reference).toMatchObject({ domain: expectedDomain, path: expectedPath });
    expect(familiarString(reference)).toBe(familiar);
  });

  it.each([
    ['', 'invalid reference format'],
    ['-x', 'invalid reference format'],
    ['a..b', 'invalid reference format'],
    ['a//b', 'invalid reference format'],
    ['x_', 'invalid reference format'],
    ['x@y', 'invalid reference format'],
    [' bb', 'invalid reference format'],
    ['a:b:c', 'invalid reference format'],
    ['http://x/y', 'invalid reference format'],
    [`x:${'t'.repeat(129)}`, 'invalid reference format'],
    ['BB', 'invalid reference format: repository name (library/BB) must be lowercase'],
    ['foo.com/X', 'invalid reference format: repository name (X) must be lowercase'],
    [`x/${'a'.repeat(260)}`, 'repository name must not be more than 255 characters'],
    ['a'.repeat(64), `invalid repository name (${'a'.repeat(64)}), cannot specify 64-byte hexadecimal strings`],
  ])('refuses %s in the words of docker', (text, message) => {
    expect(() => parseReference(text)).toThrow(message);
  });

  it('reads back what it prints, for every well-formed name', () => {
    fc.assert(
      fc.property(domain, path, fc.option(tag), fc.option(digest), (host, name, someTag, someDigest) => {
        const text = `${host}/${name}${someTag === null ? '' : `:${someTag}`}${someDigest === null ? '' : `@${someDigest}`}`;
        const reference = parseReference(text);
        expect(reference.tag).toBe(someTag);
        expect(reference.digest).toBe(someDigest);
        expect(parseReference(familiarString(reference))).toEqual(reference);
        expect(canonicalName(parseReference(familiarName(reference)))).toBe(canonicalName(reference));
      }),
    );
  });

  it('never does anything with other text but refuse it in a sentence', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
        try {
          expect(parseReference(text).path).toMatch(/^[a-z0-9]/);
        } catch (error) {
          expect(error).toMatchObject({ kind: 'invalid-argument' });
        }
      }),
    );
  });
});

describe('withDefaultTag', () => {
  it('adds latest only where there is neither tag nor digest', () => {
    const byDigest = parseReference(`x@sha256:${'0'.repeat(64)}`);
    expect(familiarString(withDefaultTag(parseReference('x')))).toBe('x:latest');
    expect(familiarString(withDefaultTag(parseReference('x:1')))).toBe('x:1');
    expect(withDefaultTag(byDigest)).toEqual(byDigest);
  });
});
