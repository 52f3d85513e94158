import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CgroupHost } from '../../../../src/engine/runtime/cgroups.ts';
import { createUsageSource, parseHostCpu, parseInterfaces, readUsage } from '../../../../src/engine/runtime/usage.ts';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'usage-'));
});

afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

function write(files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
}

function legacy(...hierarchies: readonly string[]): CgroupHost {
  const mountPoints = new Map(hierarchies.map((names) => [names, join(root, names)]));
  return { version: '1', layout: 'legacy', mountPoints, unmounted: [] };
}

function unified(): CgroupHost {
  return { version: '2', layout: 'unified', mountPoints: new Map([['', root]]), unmounted: [] };
}

describe('usage on v1', () => {
  it('gathers the hierarchies', () => {
    write({
      'cpu,cpuacct/docker/a/cpuacct.usage': '18446744073709551615\n',
      'cpu,cpuacct/docker/a/cpuacct.usage_percpu': '7 35 \n',
      'cpu,cpuacct/docker/a/cpuacct.stat': 'user 3\nsystem 1\n',
      'cpu,cpuacct/docker/a/cpu.stat': 'nr_periods 9\nnr_throttled 2\nthrottled_time 5\n',
      'memory/docker/a/memory.usage_in_bytes': '4096\n',
      'memory/docker/a/memory.max_usage_in_bytes': '8192\n',
      'memory/docker/a/memory.limit_in_bytes': '1048576\n',
      'memory/docker/a/memory.failcnt': '4\n',
      'memory/docker/a/memory.stat': 'cache 1\ntotal_inactive_file 512\n',
      'pids/docker/a/pids.current': '3\n',
      'pids/docker/a/pids.max': '20\n',
      'blkio/docker/a/blkio.throttle.io_service_bytes': '8:0 Read 10\n8:0 Write 20\nTotal 30\n',
      'blkio/docker/a/blkio.throttle.io_serviced': '8:0 Read 1\nTotal 1\n',
    });
    const found = readUsage(legacy('cpu,cpuacct', 'memory', 'pids', 'blkio'), '/docker/a');
    expect(found?.cpu).toEqual({
      totalNs: 18446744073709551615n,
      userNs: 30_000_000n,
      systemNs: 10_000_000n,
      perCpuNs: [7n, 35n],
      periods: 9n,
      throttledPeriods: 2n,
      throttledNs: 5n,
    });
    expect(found?.memory).toMatchObject({ currentBytes: 4096n, limitBytes: 1048576n, peakBytes: 8192n, failures: 4n });
    expect(found?.memory?.inactiveFileBytes).toBe(512n);
    expect(found?.pids).toEqual({ current: 3n, limit: 20n });
    expect(found?.block.bytes).toEqual([
      { major: 8n, minor: 0n, op: 'Read', value: 10n },
      { major: 8n, minor: 0n, op: 'Write', value: 20n },
    ]);
    expect(found?.block.operations).toHaveLength(1);
  });

  it('takes the highest number of pages for no limit, and lives without controllers', () => {
    write({
      'memory/a/memory.usage_in_bytes': '1\n',
      'memory/a/memory.limit_in_bytes': '9223372036854771712\n',
    });
    const found = readUsage(legacy('memory'), '/a');
    expect(found?.memory?.limitBytes).toBeNull();
    expect(found?.pids).toBeNull();
    expect(found?.cpu.totalNs).toBe(0n);
  });

  it('is null when the group has gone', () => {
    expect(readUsage(legacy('memory', 'cpuacct'), '/gone')).toBeNull();
  });
});

describe('usage on v2', () => {
  it('reads one directory', () => {
    write({
      'a/cpu.stat': 'usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 0\nnr_throttled 0\nthrottled_usec 1\n',
      'a/memory.current': '4096\n',
      'a/memory.max': 'max\n',
      'a/memory.peak': '5000\n',
      'a/memory.stat': 'anon 7\ninactive_file 9\n',
      'a/memory.events': 'low 0\noom 2\noom_kill 1\n',
      'a/pids.current': '1\n',
      'a/pids.max': 'max\n',
      'a/io.stat': '8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n',
    });
    const found = readUsage(unified(), '/a');
    expect(found?.cpu).toMatchObject({
      totalNs: 5000n,
      userNs: 3000n,
      systemNs: 2000n,
      perCpuNs: null,
      throttledNs: 1000n,
    });
    expect(found?.memory).toMatchObject({ limitBytes: null, peakBytes: 5000n, inactiveFileBytes: 9n, failures: 2n });
    expect(found?.pids).toEqual({ current: 1n, limit: null });
    expect(found?.block.bytes.map(({ op, value }) => [op, value])).toEqual([
      ['read', 10n],
      ['write', 20n],
    ]);
    expect(found?.block.operations.map(({ value }) => value)).toEqual([1n, 2n]);
  });

  it('is null when the group has gone', () => {
    expect(readUsage(unified(), '/gone')).toBeNull();
  });
});

describe('what stands beside', () => {
  it('reads interfaces without loopback', () => {
    const text = [
      'Inter-|   Receive                                                |  Transmit',
      ' face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed',
      '    lo:       9       9    0    0    0     0          0         0        9       9    0    0    0     0       0          0',
      '  eth0:     100       2    3    4    0     0          0         0      200       5    6    7    0     0       0          0',
    ].join('\n');
    expect(parseInterfaces(text)).toEqual([
      {
        name: 'eth0',
        receivedBytes: 100n,
        receivedPackets: 2n,
        receiveErrors: 3n,
        receiveDropped: 4n,
        sentBytes: 200n,
        sentPackets: 5n,
        sendErrors: 6n,
        sendDropped: 7n,
      },
    ]);
  });

  it('sums user to softirq, and counts processors', () => {
    const text = 'cpu  1 2 3 4 5 6 7 100 100 100\ncpu0 1 1 1 1 1 1 1\ncpu1 0 1 2 3 4 5 6\nintr 9\n';
    expect(parseHostCpu(text)).toEqual({ totalNs: 280_000_000n, onlineCpus: 2 });
  });

  it("shows nothing of the machine's own network", () => {
    expect(createUsageSource(unified(), 1n).interfaces(process.pid)).toEqual([]);
    expect(createUsageSource(unified(), 1n).interfaces(0)).toEqual([]);
  });
});
