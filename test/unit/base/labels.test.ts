import { expect, it } from 'vitest';
import { hasLabel } from '../../../src/base/labels.ts';

it.each([
  ['tier', true],
  ['tier=web', true],
  ['tier=', false],
  ['tier=web=1', false],
  ['empty=', true],
  ['constructor', false],
  ['', false],
])('the wish %j is %s', (wish, expected) => {
  expect(hasLabel({ tier: 'web', empty: '' }, wish)).toBe(expected);
});
