import { describe, expect, it } from 'vitest';
import type { ContainerId } from '../../../../src/base/ids.ts';
import { cgroupsPathOf, detectCgroups, placeOfCgroup, removeCgroup } from '../../../../src/engine/runtime/cgroups.ts';

const V1 = (names: string): string => `31 23 0:26 / /sys/fs/cgroup/${names} rw,relatime - cgroup cgroup rw,${names}`;
const UNIFIED_BESIDE = '42 23 0:30 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw';
const UNIFIED_ALONE =
  '42 23 0:30 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot';
const OTHERS =
  '22 28 0:21 / /proc rw,nosuid shared:11 - proc proc rw\n23 28 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755';
const TABLE = (rows: readonly (readonly [string, number])[]): string =>
  [
    '#subsys_name\thierarchy\tnum_cgroups\tenabled',
    ...rows.map(([name, hierarchy]) => `${name}\t${String(hierarchy)}\t3\t1`),
  ].join('\n');

describe('control groups of a host', () => {
  it('knows a pure unified hierarchy', () => {
    const host = detectCgroups({ mountinfo: `${OTHERS}\n${UNIFIED_ALONE}\n`, cgroups: TABLE([['memory', 0]]) });
    expect(host).toMatchObject({ version: '2', layout: 'unified', unmounted: [] });
    expect(host.mountPoints.get('')).toBe('/sys/fs/cgroup');
  });

  it('knows a hybrid host and finds controllers by name', () => {
    const mountinfo = [OTHERS, V1('memory'), V1('cpu,cpuacct'), V1('name=systemd'), UNIFIED_BESIDE].join('\n');
    const host = detectCgroups({
      mountinfo,
      cgroups: TABLE([
        ['memory', 4],
        ['cpu', 2],
        ['cpuacct', 2],
        ['net_cls', 0],
      ]),
    });
    expect(host).toMatchObject({ version: '1', layout: 'hybrid', unmounted: [] });
    expect(host.mountPoints.get('cpu,cpuacct')).toBe('/sys/fs/cgroup/cpu,cpuacct');
    expect(host.mountPoints.get('name=systemd')).toBe('/sys/fs/cgroup/name=systemd');
  });

  it('sees a controller whose hierarchy is mounted nowhere', () => {
    const mountinfo = [OTHERS, V1('memory')].join('\n');
    const host = detectCgroups({
      mountinfo,
      cgroups: TABLE([
        ['memory', 4],
        ['hugetlb', 10],
      ]),
    });
    expect(host).toMatchObject({ layout: 'legacy', unmounted: ['hugetlb'] });
  });
});

describe('cgroup paths', () => {
  const id = 'abc' as ContainerId;

  it('follow the driver', () => {
    expect(cgroupsPathOf(id, { driver: 'cgroupfs', parent: '/docker' })).toBe('/docker/abc');
    expect(cgroupsPathOf(id, { driver: 'cgroupfs', parent: 'mine/' })).toBe('/mine/abc');
    expect(cgroupsPathOf(id, { driver: 'systemd', parent: 'system.slice' })).toBe('system.slice:docker:abc');
  });

  it('are found again where the kernel has them', () => {
    expect(placeOfCgroup('/docker/abc')).toEqual({ path: '/docker/abc', unit: null });
    expect(placeOfCgroup('docker.slice:docker:abc')).toEqual({
      path: '/docker.slice/docker-abc.scope',
      unit: 'docker-abc.scope',
    });
    expect(placeOfCgroup('a-b-c.slice::abc').path).toBe('/a.slice/a-b.slice/a-b-c.slice/abc.scope');
    expect(placeOfCgroup('-.slice:docker:abc').path).toBe('/docker-abc.scope');
  });

  it('never lead the removal out of a hierarchy or to its root', () => {
    const host = detectCgroups({ mountinfo: '', cgroups: '' });
    for (const path of ['', '/', '/../etc', '/a/../..']) expect(removeCgroup(host, path)).toBe(false);
  });
});
