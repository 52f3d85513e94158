import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseChallenges } from '../../../../src/engine/registry/challenge.ts';

describe('parseChallenges', () => {
  it('reads what registries send', () => {
    const header = 'Bearer realm="https://a.example/token",service="s",scope="repository:x/y:pull,push"';
    expect(parseChallenges(header)).toEqual([
      {
        scheme: 'bearer',
        parameters: { realm: 'https://a.example/token', service: 's', scope: 'repository:x/y:pull,push' },
      },
    ]);
  });

  it('reads several, in one header or in many, with quotes and blanks', () => {
    const expected = [
      { scheme: 'bearer', parameters: { realm: 'a "b" c', error: 'invalid_token' } },
      { scheme: 'basic', parameters: { realm: 'x' } },
    ];
    expect(parseChallenges('Bearer realm="a \\"b\\" c" , error=invalid_token, Basic realm="x"')).toEqual(expected);
    expect(parseChallenges(['Bearer realm="a \\"b\\" c",error="invalid_token"', 'BASIC Realm=x'])).toEqual(expected);
  });

  it('ends on any text', () => {
    expect(parseChallenges(undefined)).toEqual([]);
    fc.assert(fc.property(fc.string({ maxLength: 80 }), (text) => Array.isArray(parseChallenges(text))));
  });
});
