import { describe, expect, it, vi } from 'vitest';
import { parseCron } from '../../../../src/engine/schedules/cron.ts';
import { nextTime, TimeZone } from '../../../../src/engine/schedules/next-time.ts';

/** The next times, as UTC. */
function next(cron: string, zone: string, after: string, count = 1): readonly (string | null)[] {
  const [pattern, timeZone] = [parseCron(cron), new TimeZone(zone)];
  const times: (string | null)[] = [];
  for (let at: number | null = Date.parse(after); at !== null && times.length < count;) {
    at = nextTime(pattern, timeZone, at);
    times.push(at === null ? null : new Date(at).toISOString().replace('.000Z', 'Z'));
  }
  return times;
}

describe('the next time', () => {
  it.each([
    ['0 3 * * *', '2026-01-01T02:59:59Z', '2026-01-01T03:00:00Z'],
    ['0 3 * * *', '2026-01-01T03:00:00Z', '2026-01-02T03:00:00Z'],
    ['@daily', '2026-02-28T12:00:00Z', '2026-03-01T00:00:00Z'],
    ['@hourly', '2026-12-31T23:10:00Z', '2027-01-01T00:00:00Z'],
    ['*/15 * * * *', '2026-01-01T00:14:59.900Z', '2026-01-01T00:15:00Z'],
    ['30 2 * * sun', '2026-01-01T00:00:00Z', '2026-01-04T02:30:00Z'],
    ['0 0 29 2 *', '2026-01-01T00:00:00Z', '2028-02-29T00:00:00Z'],
    ['0 0 L * *', '2026-02-01T00:00:00Z', '2026-02-28T00:00:00Z'],
    ['*/20 * * * * *', '2026-01-01T00:00:45Z', '2026-01-01T00:01:00Z'],
    ['5,35 8-9 * jan mon-fri', '2026-01-02T09:35:00Z', '2026-01-05T08:05:00Z'],
  ])('of %s after %s is %s', (cron, after, expected) => {
    expect(next(cron, 'UTC', after)).toEqual([expected]);
  });

  it('by the second, at the end of a day of fixed hours, is found with few looks at the clock on the wall', () => {
    const zone = new TimeZone('Europe/Berlin');
    const looks = vi.spyOn(zone, 'wallTimeAt');
    const after = Date.parse('2026-06-01T20:59:50Z');
    expect(nextTime(parseCron('* * 0-22 * * *'), zone, after)).toBe(after + 1000);
    expect(looks.mock.calls.length).toBeLessThan(350);
    looks.mockClear();
    expect(nextTime(parseCron('30 */7 0-22 * * *'), zone, after)).toBe(Date.parse('2026-06-01T22:00:30Z'));
    expect(looks.mock.calls.length).toBeLessThan(100);
  });

  it('is on the day or the weekday when both are given, as with cron', () => {
    expect(next('0 0 13 * fri', 'UTC', '2026-02-11T00:00:00Z', 3)).toEqual([
      '2026-02-13T00:00:00Z',
      '2026-02-20T00:00:00Z',
      '2026-02-27T00:00:00Z',
    ]);
    expect(next('0 0 15 * fri', 'UTC', '2026-02-14T00:00:00Z', 2)).toEqual([
      '2026-02-15T00:00:00Z',
      '2026-02-20T00:00:00Z',
    ]);
  });

  it('is by the clock on the wall of its zone', () => {
    expect(next('0 3 * * *', 'Asia/Tokyo', '2026-01-01T00:00:00Z')).toEqual(['2026-01-01T18:00:00Z']);
    expect(next('30 12 * * *', 'Asia/Kathmandu', '2026-01-01T00:00:00Z')).toEqual(['2026-01-01T06:45:00Z']);
  });
});

describe('summer time', () => {
  it('runs what it skips when the gap ends, once', () => {
    // 29 March 2026: 02:00 becomes 03:00 (01:00 UTC).
    expect(next('0,30 2 * * *', 'Europe/Berlin', '2026-03-28T12:00:00Z', 3)).toEqual([
      '2026-03-29T01:00:00Z',
      '2026-03-30T00:00:00Z',
      '2026-03-30T00:30:00Z',
    ]);
  });

  it('runs what comes twice the first time only', () => {
    // 25 October 2026: 03:00 becomes 02:00 (01:00 UTC).
    expect(next('30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00:00Z', 2)).toEqual([
      '2026-10-25T00:30:00Z',
      '2026-10-26T01:30:00Z',
    ]);
  });

  it('does not touch what runs in every hour', () => {
    expect(next('30 * * * *', 'Europe/Berlin', '2026-03-29T00:00:00Z', 3)).toEqual([
      '2026-03-29T00:30:00Z',
      '2026-03-29T01:30:00Z',
      '2026-03-29T02:30:00Z',
    ]);
    expect(next('30 * * * *', 'Europe/Berlin', '2026-10-25T00:00:00Z', 3)).toEqual([
      '2026-10-25T00:30:00Z',
      '2026-10-25T01:30:00Z',
      '2026-10-25T02:30:00Z',
    ]);
  });

  it('knows a day that begins at one o’clock', () => {
    // Lebanon, 29 March 2026: midnight becomes 01:00.
    expect(next('0 0 * * *', 'Asia/Beirut', '2026-03-28T12:00:00Z', 2)).toEqual([
      '2026-03-28T22:00:00Z',
      '2026-03-29T21:00:00Z',
    ]);
  });
});

describe('what is no schedule', () => {
  it.each([
    '',
    'x',
    '* * * *',
    '61 * * * *',
    '@reboot',
    '@every 5m',
    '0 0 15W * *',
    '0 0 * * 1#2',
    '0 0 31 2 *',
    '* * * * * * *',
  ])('is %j', (text) => {
    expect(() => parseCron(text)).toThrow(`invalid schedule "${text}"`);
  });

  it('is a zone that nobody knows', () => {
    expect(() => new TimeZone('Mars/Olympus')).toThrow('unknown time zone "Mars/Olympus"');
  });
});
