import { describe, expect, it } from 'vitest';
import { checkCgroupParent } from '../../../../src/engine/containers/validation.ts';
import { scopeAnnotations, scopeLimits } from '../../../../src/engine/containers/scope.ts';

const MIB = 1024 * 1024;

describe('properties of a container’s scope', () => {
  it('are its name and what is limited', () => {
    expect(
      scopeAnnotations('web', {
        memory: { limit: 64 * MIB, reservation: 16 * MIB, swap: 96 * MIB },
        cpu: { quota: 25_000, period: 50_000 },
        pids: { limit: 77 },
      }),
    ).toEqual({
      'org.systemd.property.Description': `'Docker container web'`,
      'org.systemd.property.MemoryMax': `uint64 ${String(64 * MIB)}`,
      'org.systemd.property.MemoryLow': `uint64 ${String(16 * MIB)}`,
      'org.systemd.property.MemorySwapMax': `uint64 ${String(32 * MIB)}`,
      'org.systemd.property.CPUQuotaPerSecUSec': 'uint64 500000',
      'org.systemd.property.CPUQuotaPeriodUSec': 'uint64 50000',
      'org.systemd.property.TasksMax': 'uint64 77',
    });
  });

  it('change with an update, and only what it names', () => {
    const none = 2n ** 64n - 1n;
    expect(scopeLimits({ memory: { limit: 64 * MIB, swap: -1 }, pids: { limit: -1 } })).toEqual({
      MemoryMax: BigInt(64 * MIB),
      MemorySwapMax: none,
      TasksMax: none,
    });
    expect(scopeLimits({ memory: { limit: MIB, swap: 3 * MIB }, cpu: { quota: 25_000, period: 50_000 } })).toEqual({
      MemoryMax: BigInt(MIB),
      MemorySwapMax: BigInt(2 * MIB),
      CPUQuotaPerSecUSec: 500_000n,
      CPUQuotaPeriodUSec: 50_000n,
    });
    expect(scopeLimits({ cpu: { shares: 5 } })).toEqual({});
  });

  it('forbid swap where no memory beyond the limit is allowed', () => {
    const properties = scopeAnnotations('a', { memory: { limit: MIB, swap: MIB } });
    expect(properties).toMatchObject({ 'org.systemd.property.MemorySwapMax': 'uint64 0' });
  });

  it('leave out what is not limited, or without a bound', () => {
    expect(scopeAnnotations('a', {})).toEqual({ 'org.systemd.property.Description': `'Docker container a'` });
    expect(
      Object.keys(scopeAnnotations('a', { memory: { limit: MIB, swap: -1 }, cpu: { quota: -1 }, pids: { limit: -1 } })),
    ).toEqual(['org.systemd.property.Description', 'org.systemd.property.MemoryMax']);
  });
});

describe('a cgroup parent', () => {
  it.each(['', 'a.slice', 'user-1000.slice', 'a-b-c.slice', 'x@1.slice'])('with systemd may be %j', (parent) => {
    expect(() => checkCgroupParent(parent, 'systemd')).not.toThrow();
  });

  it.each(['/docker', 'docker', '.slice', '-a.slice', 'a-.slice', 'a--b.slice', 'a/b.slice', 'a.scope', 'a.slice/x'])(
    'with systemd may not be %j, and may with cgroupfs',
    (parent) => {
      expect(() => checkCgroupParent(parent, 'systemd')).toThrow(
        'cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"',
      );
      expect(() => checkCgroupParent(parent, 'cgroupfs')).not.toThrow();
    },
  );
});
