import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DetachWatch, parseDetachKeys } from '../../../../../src/engine/containers/streams/detach-keys.ts';

/** Feeds chunks; what was let through, whether it detached, and what is held back at the end. */
function type(keys: string | null, ...chunks: readonly string[]): readonly [string, boolean, string] {
  const watch = new DetachWatch(parseDetachKeys(keys));
  let forwarded = '';
  for (const chunk of chunks) {
    const { forward, detached } = watch.feed(Buffer.from(chunk, 'latin1'));
    forwarded += forward.toString('latin1');
    if (detached) return [forwarded, true, ''];
  }
  return [forwarded, false, watch.rest().toString('latin1')];
}

describe('detach keys', () => {
  it.each([
    [null, [16, 17]],
    ['', []],
    ['ctrl-a', [1]],
    ['ctrl-z,x', [26, 120]],
    ['ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_', [0, 27, 28, 29, 30, 31]],
    ['a,b,c', [97, 98, 99]],
  ])('%s is %j', (text, bytes) => {
    expect([...parseDetachKeys(text)]).toEqual(bytes);
  });

  it.each(['ctrl-', 'ctrl-A', 'ctrl-ab', 'ab', 'a,,b', 'ctrl-1', 'strg-c'])('%s is none', (text) => {
    expect(() => parseDetachKeys(text)).toThrow('Invalid detach keys (');
  });
});

describe('what is typed', () => {
  it('detaches at the sequence, whole or key by key, and drops what comes after', () => {
    expect(type(null, 'ab\x10\x11cd')).toEqual(['ab', true, '']);
    expect(type(null, 'ab', '\x10', '\x11')).toEqual(['ab', true, '']);
  });

  it('holds a begun sequence back until it is decided', () => {
    expect(type(null, 'a\x10')).toEqual(['a', false, '\x10']);
    expect(type(null, 'a\x10', 'b')).toEqual(['a\x10b', false, '']);
    expect(type(null, '\x10\x10\x11')).toEqual(['\x10', true, '']);
  });

  it('finds a sequence that begins within a failed one', () => {
    expect(type('a,a,b', 'aaab')).toEqual(['a', true, '']);
    expect(type('a,b,a,c', 'ababac')).toEqual(['ab', true, '']);
  });

  it('without keys passes as it is', () => {
    expect(type('', '\x10\x11')).toEqual(['\x10\x11', false, '']);
  });

  it('comes through byte for byte when the sequence is not in it, however it is cut', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 12 });
    fc.assert(
      fc.property(fc.array(letters), fc.constantFrom('a,b', 'a,a,b', 'a,b,a,c', 'c'), (chunks, keys) => {
        const whole = chunks.join('');
        const sequence = keys.replaceAll(',', '');
        const [forwarded, detached, rest] = type(keys, ...chunks);
        const at = whole.indexOf(sequence);
        expect(detached).toBe(at !== -1);
        expect(forwarded + rest).toBe(at === -1 ? whole : whole.slice(0, at));
      }),
    );
  });
});
