/** What test/contract/guest-cases.test.ts has run by the guest's runner: each thing that it knows, once. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

const told: string[] = [];

describe('sample', () => {
  beforeAll(() => void told.push('all'));
  beforeEach(() => void told.push('each'));
  afterEach(() => void told.push('after'));
  afterAll(() => expect(told).toContain('after'));

  it('runs hooks', () => expect(told).toEqual(['all', 'each']));
  it('fails', () => expect({ a: 1 }).toMatchObject({ a: 2 }));
  it('skips', (context) => context.skip('for a reason'));
  it.skipIf(true)('never runs (skipped: by its name)', () => expect(1).toBe(2));
  it.each([
    ['a', 1],
    ['b', 2],
  ])('takes %s and %i', (word, number) => expect(word.codePointAt(0)).toBe(96 + number));
  it('polls', async () => {
    let count = 0;
    await expect.poll(() => (count += 1), { interval: 1 }).toBeGreaterThan(2);
  });
  it('sees rejections', async () => {
    await expect(Promise.reject(new TypeError('no'))).rejects.toThrow(TypeError);
  });
});

describe('broken', () => {
  beforeAll(() => {
    throw new Error('nothing to run on');
  });
  it('cannot run', () => expect(1).toBe(1));
});
