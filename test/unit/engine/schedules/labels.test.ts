import { describe, expect, it } from 'vitest';
import { parseDelay, timingOfLabels } from '../../../../src/engine/schedules/labels.ts';

describe('labels of a container', () => {
  it('ask for nothing without the first', () => {
    expect(timingOfLabels({ 'moored.schedule.missed': 'skip' })).toBeNull();
  });

  it('give expression, zone and rules', () => {
    expect(timingOfLabels({ 'moored.schedule': '@daily' })).toEqual({
      timing: {
        cron: '@daily',
        timeZone: '',
        missed: 'skip',
        overlap: 'skip',
        randomDelaySeconds: 0,
        enabled: true,
      },
      problem: null,
    });
    expect(
      timingOfLabels({
        'moored.schedule': '0 3 * * *',
        'moored.schedule.timezone': 'Europe/Berlin',
        'moored.schedule.missed': 'run-once',
        'moored.schedule.overlap': 'replace',
        'moored.schedule.random-delay': '1h30m',
      })?.timing,
    ).toMatchObject({
      timeZone: 'Europe/Berlin',
      missed: 'run-once',
      overlap: 'replace',
      randomDelaySeconds: 5400,
    });
  });

  it.each([
    ['missed', 'later', '"later" is none of skip, run-once'],
    ['overlap', 'SKIP', '"SKIP" is none of skip, queue, replace'],
    ['random-delay', '-5', '"-5" is no duration'],
    ['random-delay', '25h', '"25h" is more than a day'],
  ])('say what is wrong: %s=%s', (name, value, text) => {
    const asked = timingOfLabels({ 'moored.schedule': '@daily', [`moored.schedule.${name}`]: value });
    expect(asked?.problem).toContain(`label moored.schedule.${name}: ${text}`);
  });

  it('take durations', () => {
    expect(['90', '90s', '5m', '1h1m1s', '0'].map(parseDelay)).toEqual([90, 90, 300, 3661, 0]);
    expect(() => parseDelay('soon')).toThrow('"soon" is no duration');
    expect(() => parseDelay('')).toThrow('is no duration');
  });
});
