import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextPageQuery } from '../../../../src/engine/registry/next-page.ts';

describe('nextPageQuery', () => {
  it.each([
    ['</v2/x/tags/list?n=2&last=b>; rel="next"', '?n=2&last=b'],
    ['<https://evil.example/v2/x/tags/list?last=b>;rel=next', '?last=b'],
    ['<?last=a,b;c> ; title="x" ; REL="next"', '?last=a,b;c'],
    ['</a?x=1>; rel="prev", </b?x=2>; rel="next"', '?x=2'],
    ['</b?x=2#y>; rel=next', '?x=2'],
    ['</b>; rel=next', null],
    ['</b?x=2>; rel=prev', null],
    ['</b?x=2; rel=next', null],
    ['nothing', null],
    [undefined, null],
  ])('of %j is %j', (header, query) => {
    expect(nextPageQuery(header)).toBe(query);
  });

  it('reads several headers, and ends on any text', () => {
    expect(nextPageQuery(['</a>; rel=first', '</b?c>; rel=next'])).toBe('?c');
    fc.assert(
      fc.property(
        fc.string({ maxLength: 60 }),
        (text) =>
          typeof nextPageQuery(`<${text}>;rel=next`) === 'string' ||
          !text.includes('?') ||
          text.includes('>') ||
          text.includes('#'),
      ),
    );
  });

  it('is quick with what was made to be slow', () => {
    const started = performance.now();
    for (const part of ['<', '<?', '?>', '<>;', '<>,rel']) nextPageQuery(part.repeat(30_000));
    expect(performance.now() - started).toBeLessThan(1000);
  });
});
