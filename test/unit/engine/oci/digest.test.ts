import { describe, expect, it } from 'vitest';
import { chainIdsOf, digestOf, isDigest, parseDigest } from '../../../../src/engine/oci/digest.ts';

const EMPTY = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

describe('digests', () => {
  it('hashes bytes and text alike', () => {
    expect(digestOf('')).toBe(EMPTY);
    expect(digestOf(Buffer.from('x'))).toBe(digestOf('x'));
  });

  it('knows only sha256 in lower case', () => {
    expect(isDigest(EMPTY)).toBe(true);
    for (const text of ['', EMPTY.toUpperCase(), EMPTY.slice(0, -1), `${EMPTY}0`, `sha512:${'0'.repeat(128)}`]) {
      expect(isDigest(text)).toBe(false);
      expect(() => parseDigest(text)).toThrow(`invalid digest format: ${text}`);
    }
  });

  it('chains layers as the image-spec says', () => {
    const [a, b] = [digestOf('a'), digestOf('b')];
    expect(chainIdsOf([])).toEqual([]);
    expect(chainIdsOf([a, b])).toEqual([a, digestOf(`${a} ${b}`)]);
  });
});
