import { describe, expect, it } from 'vitest';
import type { Timestamp } from '../../../../../src/base/clock.ts';
import {
  deedOf,
  isForgotten,
  ruleOf,
  validateUnhealthyLabels,
  type UnhealthyRecord,
} from '../../../../../src/engine/containers/health/action.ts';

const at = (seconds: number): Timestamp => (BigInt(seconds) * 1_000_000_000n) as Timestamp;
const labelled = (action: string, more: Readonly<Record<string, string>> = {}) =>
  ruleOf({ 'org.moored.unhealthy.action': action, ...more });
const record = (change: Partial<UnhealthyRecord> = {}): UnhealthyRecord => {
  return { restarts: 1, lastAt: at(100), hasGivenUp: false, ...change };
};

describe('labels on what to do about an unhealthy container', () => {
  it('have defaults', () => {
    expect(ruleOf({})).toEqual({ action: 'none', pauseNs: 60_000_000_000n, maxRestarts: 5 });
  });

  it.each([
    ['action', 'reboot', 'use restart, stop, notify, none'],
    ['action', '', 'use restart, stop, notify, none'],
    ['pause', '5', 'use a duration from 1s on'],
    ['pause', '10ms', 'use a duration from 1s on'],
    ['max-restarts', '-1', 'use a number, 0 for no limit'],
    ['max-restarts', 'many', 'use a number, 0 for no limit'],
  ])('are refused: %s=%s', (name, value, words) => {
    expect(() => validateUnhealthyLabels({ [`org.moored.unhealthy.${name}`]: value })).toThrow(
      `invalid label org.moored.unhealthy.${name}="${value}": ${words}`,
    );
  });
});

describe('what is done about an unhealthy container', () => {
  it('is nothing unless asked for', () => {
    expect(deedOf(ruleOf({}), null, { now: at(0), hasChanged: true })).toBe('wait');
  });

  it('is told once', () => {
    expect(deedOf(labelled('notify'), null, { now: at(0), hasChanged: true })).toBe('notify');
    expect(deedOf(labelled('notify'), null, { now: at(0), hasChanged: false })).toBe('wait');
  });

  it('is a stop at any time', () => {
    expect(deedOf(labelled('stop'), null, { now: at(0), hasChanged: false })).toBe('stop');
  });

  it('is a restart, with a pause between two', () => {
    const rule = labelled('restart', { 'org.moored.unhealthy.pause': '10s' });
    expect(deedOf(rule, null, { now: at(0), hasChanged: true })).toBe('restart');
    expect(deedOf(rule, record(), { now: at(109), hasChanged: true })).toBe('wait');
    expect(deedOf(rule, record(), { now: at(110), hasChanged: false })).toBe('restart');
  });

  it('ends after so many restarts, and that is told once', () => {
    const rule = labelled('restart', { 'org.moored.unhealthy.max-restarts': '2' });
    expect(deedOf(rule, record({ restarts: 2 }), { now: at(999), hasChanged: true })).toBe('give-up');
    expect(deedOf(rule, record({ restarts: 2, hasGivenUp: true }), { now: at(999), hasChanged: true })).toBe('wait');
    const endless = labelled('restart', { 'org.moored.unhealthy.max-restarts': '0' });
    expect(deedOf(endless, record({ restarts: 200 }), { now: at(999), hasChanged: true })).toBe('restart');
  });

  it('is forgotten when the container has been healthy for the pause', () => {
    expect(isForgotten(ruleOf({}), record(), at(159))).toBe(false);
    expect(isForgotten(ruleOf({}), record(), at(160))).toBe(true);
  });
});
