import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Timestamp } from '../../../../src/base/clock.ts';
import {
  exitCodeOf,
  isLive,
  lastExitOf,
  next,
  restartCountOf,
  type ContainerEvent,
  type ContainerState,
  type LastExit,
} from '../../../../src/engine/containers/state.ts';

const T0 = 1_000n as Timestamp;
const T1 = 2_000n as Timestamp;
const LAST: LastExit = { exitCode: 3, startedAt: T0, finishedAt: T0, oomKilled: true, error: '' };

const STATES: Readonly<Record<ContainerState['status'], ContainerState>> = {
  created: { status: 'created', error: '', exitCode: 0 },
  running: { status: 'running', pid: 7, startedAt: T0, restartCount: 2, lastExit: LAST },
  paused: { status: 'paused', pid: 7, startedAt: T0, restartCount: 2, lastExit: LAST },
  restarting: { status: 'restarting', restartCount: 2, lastExit: LAST },
  exited: { status: 'exited', restartCount: 2, lastExit: LAST },
  removing: { status: 'removing', restartCount: 2, lastExit: LAST },
  dead: { status: 'dead', restartCount: 2, lastExit: LAST, error: 'busy' },
};

const EXIT = { kind: 'exited', exitCode: 9, at: T1, oomKilled: false, error: '' } as const;
const EVENTS = {
  started: { kind: 'started', pid: 8, at: T1 },
  'start-failed': { kind: 'start-failed', exitCode: 127, error: 'no', at: T1 },
  'exited, to rest': { ...EXIT, restart: false },
  'exited, to restart': { ...EXIT, restart: true },
  paused: { kind: 'paused' },
  unpaused: { kind: 'unpaused' },
  'restart-cancelled': { kind: 'restart-cancelled' },
  'removal-started': { kind: 'removal-started' },
  'removal-failed': { kind: 'removal-failed', error: 'full' },
} as const satisfies Readonly<Record<string, ContainerEvent>>;

const ENDED: LastExit = { exitCode: 9, startedAt: T0, finishedAt: T1, oomKilled: false, error: '' };
const FAILED: LastExit = { exitCode: 127, startedAt: T0, finishedAt: T1, oomKilled: false, error: 'no' };
const REMOVING = { status: 'removing', restartCount: 2, lastExit: LAST } as const;
const live = (status: 'running' | 'paused'): ContainerState => ({
  status,
  pid: 7,
  startedAt: T0,
  restartCount: 2,
  lastExit: LAST,
});

/** Everything that can happen; what is not here cannot. */
const TABLE: Readonly<Record<ContainerState['status'], Partial<Record<keyof typeof EVENTS, ContainerState>>>> = {
  created: {
    started: { status: 'running', pid: 8, startedAt: T1, restartCount: 0, lastExit: null },
    'start-failed': { status: 'created', error: 'no', exitCode: 127 },
    'removal-started': { status: 'removing', restartCount: 0, lastExit: null },
  },
  running: {
    'exited, to rest': { status: 'exited', restartCount: 2, lastExit: ENDED },
    'exited, to restart': { status: 'restarting', restartCount: 3, lastExit: ENDED },
    paused: live('paused'),
  },
  paused: {
    'exited, to rest': { status: 'exited', restartCount: 2, lastExit: ENDED },
    'exited, to restart': { status: 'restarting', restartCount: 3, lastExit: ENDED },
    unpaused: live('running'),
  },
  restarting: {
    started: { status: 'running', pid: 8, startedAt: T1, restartCount: 2, lastExit: LAST },
    'start-failed': { status: 'exited', restartCount: 2, lastExit: FAILED },
    'restart-cancelled': { status: 'exited', restartCount: 2, lastExit: LAST },
  },
  exited: {
    started: { status: 'running', pid: 8, startedAt: T1, restartCount: 0, lastExit: LAST },
    'start-failed': { status: 'exited', restartCount: 2, lastExit: FAILED },
    'removal-started': REMOVING,
  },
  removing: { 'removal-failed': { status: 'dead', restartCount: 2, lastExit: LAST, error: 'full' } },
  dead: { 'removal-started': REMOVING },
};

const CASES = (Object.keys(STATES) as ContainerState['status'][]).flatMap((status) =>
  (Object.keys(EVENTS) as (keyof typeof EVENTS)[]).map((event) => [status, event] as const),
);

describe('the state after an event', () => {
  it.each(CASES)('%s, %s', (status, event) => {
    expect(next(STATES[status], EVENTS[event])).toEqual(TABLE[status][event] ?? null);
  });

  it('is closed, and keeps counting right, over any sequence of events', () => {
    const event = fc.constantFrom<ContainerEvent>(...Object.values(EVENTS));
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), (events) => {
        let state: ContainerState = STATES.created;
        for (const one of events) {
          const before = state;
          state = next(before, one) ?? before;
          expect(Object.keys(STATES)).toContain(state.status);
          // A pid only where there is a process.
          expect('pid' in state).toBe(isLive(state));
          if (isLive(state)) expect(state.pid).toBeGreaterThan(0);
          // The policy's count grows by one at a time, and only a user's start takes it back.
          const grown = restartCountOf(state) - restartCountOf(before);
          if (grown > 0) expect([grown, state.status]).toEqual([1, 'restarting']);
          if (grown < 0) expect([before.status, one.kind]).toEqual(['exited', 'started']);
          // How the last run ended is never forgotten.
          if (lastExitOf(before) !== null) expect(lastExitOf(state)).not.toBeNull();
        }
      }),
    );
  });

  it('never changes the state it was given', () => {
    for (const [status, event] of CASES) {
      const frozen = Object.freeze(structuredClone(STATES[status]));
      next(frozen, EVENTS[event]);
      expect(frozen).toEqual(STATES[status]);
    }
  });
});

describe('what a state tells', () => {
  it.each([
    ['created', false, 0, 0],
    ['running', true, 3, 2],
    ['paused', true, 3, 2],
    ['restarting', false, 3, 2],
    ['exited', false, 3, 2],
    ['removing', false, 3, 2],
    ['dead', false, 3, 2],
  ] as const)('%s: live %s, exit code %i, restarts %i', (status, runs, exitCode, restarts) => {
    const state = STATES[status];
    expect([isLive(state), exitCodeOf(state), restartCountOf(state)]).toEqual([runs, exitCode, restarts]);
  });
});
