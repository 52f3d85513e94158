import { describe, expect, it } from 'vitest';
import { ConflictError } from '../../../../../src/base/errors.ts';
import { changedLimits, updatedResources } from '../../../../../src/engine/containers/resources/update.ts';
import type { Resources } from '../../../../../src/engine/containers/spec-types.ts';
import { exampleSpec } from '../../../../support/container-spec.ts';

const PLAIN = exampleSpec().host.resources;
const MIB = 1024 * 1024;
const updated = (present: Partial<Resources>, asked: Partial<Resources>): Resources =>
  updatedResources({ ...PLAIN, ...present }, { ...PLAIN, ...asked });

describe('an update of limits', () => {
  it('changes what is named, and nothing else', () => {
    const present = { memoryBytes: 50 * MIB, memorySwapBytes: 100 * MIB, cpuShares: 5, cpusetCpus: '0', pidsLimit: 9 };
    expect(updated(present, { memoryBytes: 60 * MIB, cpusetMems: '0' })).toEqual({
      ...PLAIN,
      ...present,
      memoryBytes: 60 * MIB,
      cpusetMems: '0',
    });
    expect(updated(present, { pidsLimit: 0 })).toEqual({ ...PLAIN, ...present, pidsLimit: null });
    expect(updated(present, { pidsLimit: 3 }).pidsLimit).toBe(3);
    // Not of those that can be changed.
    expect(updated(present, { oomKillDisable: true, memorySwappiness: 5 })).toEqual({ ...PLAIN, ...present });
  });

  it.each<[Partial<Resources>, Partial<Resources>, string]>([
    [{ cpuPeriodUs: 1000 }, { nanoCpus: 1 }, 'Nano CPUs cannot be updated as CPU Period has already been set'],
    [{ cpuQuotaUs: 1000 }, { nanoCpus: 1 }, 'Nano CPUs cannot be updated as CPU Quota has already been set'],
    [{ nanoCpus: 1 }, { cpuPeriodUs: 1000 }, 'CPU Period cannot be updated as NanoCPUs has already been set'],
    [{ nanoCpus: 1 }, { cpuQuotaUs: 1000 }, 'CPU Quota cannot be updated as NanoCPUs has already been set'],
    [
      { memoryBytes: 50 * MIB, memorySwapBytes: 100 * MIB },
      { memoryBytes: 200 * MIB },
      'Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time',
    ],
    [{}, { memoryBytes: 50 * MIB }, 'Memory limit should be smaller than already set memoryswap limit'],
  ])('of %j by %j is refused', (present, asked, message) => {
    expect(() => updated(present, asked)).toThrow(ConflictError);
    expect(() => updated(present, asked)).toThrow(message);
  });

  it('tells the runtime what changes: memory with swap, quota with period', () => {
    const limits = (present: Partial<Resources>, asked: Partial<Resources>): unknown =>
      changedLimits({ ...PLAIN, ...asked }, updated(present, asked));
    const bounded = { memoryBytes: 50 * MIB, memorySwapBytes: 100 * MIB, cpuQuotaUs: 5000, cpuPeriodUs: 0 };
    expect(limits(bounded, { memoryBytes: 60 * MIB })).toEqual({ memory: { limit: 60 * MIB, swap: 100 * MIB } });
    expect(limits(bounded, { cpuPeriodUs: 2000 })).toEqual({ cpu: { quota: 5000, period: 2000 } });
    expect(limits(bounded, { pidsLimit: 0 })).toEqual({ pids: { limit: -1 } });
    expect(limits(bounded, { pidsLimit: 4 })).toEqual({ pids: { limit: 4 } });
    expect(limits(bounded, {})).toEqual({});
  });
});
