import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConflictError, UnavailableError } from '../../../../src/base/errors.ts';
import { silentLogger, type Logger } from '../../../../src/base/logger.ts';
import { createLinuxKernel } from '../../../../src/engine/kernel/linux/index.ts';
import type { CgroupHost } from '../../../../src/engine/runtime/cgroups.ts';
import { MONITORS_UNIT, SystemdMonitorScope } from '../../../../src/engine/runtime/monitor-scope.ts';
import type { Units } from '../../../../src/engine/runtime/units.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const GROUP = `/system.slice/${MONITORS_UNIT}`;

let root: string;
let clock: FakeClock;
let calls: string[];
let warnings: string[];
let group: string | null;
let failure: Error | null;
let scope: SystemdMonitorScope;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'scope-'));
  clock = new FakeClock();
  calls = [];
  warnings = [];
  group = null;
  failure = null;
  const logger: Logger = { ...silentLogger, warn: (message) => void warnings.push(message) };
  const mountPoints = new Map(['memory', 'name=systemd', 'freezer'].map((name) => [name, join(root, name)]));
  const cgroups: CgroupHost = { version: '1', layout: 'hybrid', mountPoints, unmounted: [] };
  scope = new SystemdMonitorScope({ kernel: createLinuxKernel(), clock, logger, cgroups, units });
});

afterEach(() => {
  scope[Symbol.dispose]();
  rmSync(root, { recursive: true });
});

/** systemd that makes groups as directories. */
const units: Units = {
  controlGroupOf: (unit) => {
    calls.push(`find ${unit}`);
    return Promise.resolve(group);
  },
  startScope: ({ name, pids }) => {
    calls.push(`start ${name} of ${String(pids.length)}`);
    if (failure !== null) return Promise.reject(failure);
    makeGroup();
    return Promise.resolve(GROUP);
  },
  describe: () => Promise.resolve(),
  limit: () => Promise.resolve(),
};

/** systemd makes none below the freezer. */
function makeGroup(): void {
  group = GROUP;
  for (const name of ['memory', 'name=systemd']) {
    mkdirSync(join(root, name, GROUP), { recursive: true });
    writeFileSync(join(root, name, GROUP, 'cgroup.procs'), '');
  }
}

const pidIn = (name: string): string => readFileSync(join(root, name, GROUP, 'cgroup.procs'), 'utf8');

describe('the scope of the monitors', () => {
  it('is made at first need, and joined by writes alone after that', async () => {
    await scope.adopt(1234567);
    expect(calls).toEqual([`find ${MONITORS_UNIT}`, `start ${MONITORS_UNIT} of 1`]);
    expect([pidIn('memory'), pidIn('name=systemd')]).toEqual(['1234567', '1234567']);
    await scope.adopt(7654321);
    expect(calls).toHaveLength(2);
    expect(pidIn('memory')).toBe('7654321');
  });

  it('is the one that is there after a restart of the daemon, or that another engine makes at the same moment', async () => {
    makeGroup();
    await scope.adopt(1234567);
    expect(calls).toEqual([`find ${MONITORS_UNIT}`]);
    scope[Symbol.dispose]();
    group = null;
    failure = new ConflictError('exists');
    const adopted = scope.adopt(2222222);
    group = GROUP;
    await adopted;
    expect(pidIn('memory')).toBe('2222222');
  });

  it('is made anew when it has been stopped', async () => {
    await scope.adopt(1234567);
    for (const name of ['memory', 'name=systemd']) rmSync(join(root, name), { recursive: true });
    group = null;
    await scope.adopt(7654321);
    expect(pidIn('name=systemd')).toBe('7654321');
    expect(warnings).toEqual([]);
  });

  it('is done without, with one warning, while systemd does not answer; and tried again later', async () => {
    failure = new UnavailableError('no bus');
    await scope.adopt(1);
    expect(warnings).toEqual([expect.stringContaining('monitors stay in the control group of the engine')]);
    const before = calls.length;
    await scope.adopt(2);
    expect(calls).toHaveLength(before);
    failure = null;
    await clock.advance(30_000);
    await scope.adopt(1234567);
    expect(pidIn('memory')).toBe('1234567');
    expect(warnings).toHaveLength(1);
  });
});
