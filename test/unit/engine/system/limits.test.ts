import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { limitsOfHost, limitWarnings } from '../../../../src/engine/system/limits.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'limits-'));
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

const write = (path: string, text = ''): void => {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
};

describe('limits of a host', () => {
  it('on v1 are files of controllers, wherever those are mounted', async () => {
    for (const file of ['memsw.limit_in_bytes', 'soft_limit_in_bytes', 'swappiness', 'oom_control']) {
      write(`/cg/memory/memory.${file}`);
    }
    for (const file of ['cfs_quota_us', 'shares', 'rt_period_us']) write(`/cg/cpu,cpuacct/cpu.${file}`);
    for (const file of ['read_bps', 'write_bps', 'read_iops', 'write_iops']) {
      write(`/cg/blkio/blkio.throttle.${file}_device`);
    }
    write('/cg/cpuset/cpuset.cpus', '0-3\n');
    write('/cg/cpuset/cpuset.mems', '0\n');
    write('/proc/sys/net/ipv4/ip_forward', '1\n');
    const names = ['memory', 'cpu,cpuacct', 'blkio', 'cpuset', 'pids'];
    const limits = await limitsOfHost(
      { version: '1', mountPoints: new Map(names.map((name) => [name, `/cg/${name}`])) },
      root,
    );
    expect(limits).toEqual({
      ...{ memory: true, swap: true, memoryReservation: true, memorySwappiness: true, oomKillDisable: true },
      ...{ kernelMemory: false, kernelMemoryTcp: false, cpuCfs: true, cpuShares: true, cpuRealtime: true },
      ...{ cpuset: true, pids: true, blkioWeight: false, blkioWeightDevice: false, blkioReadBps: true },
      ...{ blkioWriteBps: true, blkioReadIops: true, blkioWriteIops: true, cpus: '0-3', memoryNodes: '0' },
      ...{ cgroupNamespaces: false, ipv4Forwarding: true, bridgeNfIptables: false, bridgeNfIp6tables: false },
    });
    expect(limitWarnings(limits, '1')).toEqual(['WARNING: No kernel memory TCP limit support']);
  });

  it('on v2 come with their controllers, and some are no more', async () => {
    write('/cg/cgroup.controllers', 'cpuset cpu io memory pids\n');
    write('/cg/a/memory.swap.max');
    write('/proc/self/cgroup', '0::/a\n');
    const unified = { version: '2', mountPoints: new Map([['', '/cg']]) } as const;
    const limits = await limitsOfHost(unified, root);
    expect(limits).toMatchObject({
      ...{ memory: true, swap: true, memoryReservation: true, memorySwappiness: false, oomKillDisable: false },
      ...{ cpuCfs: true, cpuRealtime: false, cpuset: true, pids: true, blkioWeight: true, blkioReadBps: true },
    });
    expect(limitWarnings(limits, '2')).toEqual(['WARNING: IPv4 forwarding is disabled']);
    write('/cg/cgroup.controllers', 'cpuset cpu pids\n');
    expect(limitWarnings(await limitsOfHost(unified, root), '2')).toEqual([
      'WARNING: No memory limit support',
      'WARNING: No swap limit support',
      'WARNING: No io.weight support',
      'WARNING: No io.weight (per device) support',
      'WARNING: No io.max (rbps) support',
      'WARNING: No io.max (wbps) support',
      'WARNING: No io.max (riops) support',
      'WARNING: No io.max (wiops) support',
      'WARNING: IPv4 forwarding is disabled',
    ]);
  });
});
