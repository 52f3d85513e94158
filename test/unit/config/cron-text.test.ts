import fc from 'fast-check';
import { parse } from 'node-cron';
import { describe, expect, it } from 'vitest';
import { checkCron } from '../../../src/config/cron-text.ts';

const isRead = (text: string): boolean => {
  try {
    parse(text);
    return true;
  } catch {
    return false;
  }
};

const number = fc.nat({ max: 70 }).map(String);
const name = fc.constantFrom('mon', 'Friday', 'sun', 'jan', 'DEC', 'march', 'x', 'mo');
const item = fc.oneof(
  { weight: 3, arbitrary: fc.constant('*') },
  { weight: 3, arbitrary: fc.nat({ max: 12 }).map(String) },
  number,
  name,
  fc.tuple(number, number).map(([from, to]) => `${from}-${to}`),
  fc.constantFrom('mon-fri', 'fri-mon', 'nov-feb', '*/5', '*/0', '1-10/3', '5/10', '?', 'L', '-', '', '1-2-3', '*/x'),
);
const field = fc.oneof(
  item,
  fc.array(item, { minLength: 1, maxLength: 3 }).map((items) => items.join(',')),
);
const expression = fc.array(field, { minLength: 4, maxLength: 7 }).map((fields) => fields.join(' '));

describe('schedules', () => {
  it('that node-cron refuses are refused before', () => {
    fc.assert(
      fc.property(expression, (text) => {
        if (checkCron(text) === null) expect([text, isRead(text)]).toEqual([text, true]);
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    '0 3 * * 0',
    '*/15 * * * *',
    '30 0 3 * * *',
    '0 3 L * ?',
    '0-30/10 8,20 * * mon-fri',
    '0 0 29 feb *',
    '0 0 1 nov-feb sunday',
    '@daily',
    ' @weekly ',
  ])('%s is one', (text) => {
    expect([checkCron(text), isRead(text.trim())]).toEqual([null, true]);
  });

  it.each([
    ['0 3 32 * *', 'invalid schedule "0 3 32 * *": "32" is no day of month'],
    ['0 3 30 2 *', 'invalid schedule "0 3 30 2 *": no such month has such a day'],
    ['3am', 'invalid schedule "3am": it has 1 fields in place of 5 (minute hour day month weekday)'],
    ['@noon', 'invalid schedule "@noon": use @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly'],
  ])('%s is refused: %s', (text, reason) => {
    expect(checkCron(text)).toBe(reason);
  });
});
