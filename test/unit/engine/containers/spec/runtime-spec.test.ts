import { describe, expect, it } from 'vitest';
import { capabilitiesOf } from '../../../../../src/engine/containers/spec/capabilities.ts';
import { parseDeviceRule } from '../../../../../src/engine/containers/spec/devices.ts';
import { execProcessOf, mergeEnv, runtimeSpecOf } from '../../../../../src/engine/containers/spec/runtime-spec.ts';
import { exampleInput, exampleSpec } from '../../../../support/container-spec.ts';

const destinations = (spec: ReturnType<typeof runtimeSpecOf>): readonly string[] =>
  spec.mounts.map(({ destination }) => destination);

describe('runtime spec', () => {
  it('of a plain container has Docker’s mounts, namespaces, paths and capabilities', () => {
    const spec = runtimeSpecOf(exampleInput());
    expect(destinations(spec)).toEqual([
      '/proc',
      '/dev',
      '/dev/pts',
      '/sys',
      '/sys/fs/cgroup',
      '/dev/mqueue',
      '/dev/shm',
      '/etc/resolv.conf',
      '/etc/hostname',
      '/etc/hosts',
    ]);
    expect(spec.linux.namespaces).toEqual([
      { type: 'mount' },
      { type: 'network', path: '/run/netns/x' },
      { type: 'ipc' },
      { type: 'pid' },
      { type: 'uts' },
    ]);
    expect(spec.process.capabilities?.effective).toHaveLength(14);
    expect(spec.process.env).toEqual([
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'HOSTNAME=box',
      'HOME=/root',
    ]);
    expect(spec.linux.maskedPaths).toContain('/proc/kcore');
    expect(spec.linux.resources?.devices?.[0]).toEqual({ allow: false, access: 'rwm' });
    expect(spec.linux.sysctl).toEqual({
      'net.ipv4.ip_unprivileged_port_start': '0',
      'net.ipv4.ping_group_range': '0 2147483647',
    });
  });

  it('of a privileged container hides and forbids nothing', () => {
    const spec = runtimeSpecOf(exampleInput({ host: { privileged: true } }));
    expect(spec.linux.maskedPaths).toEqual([]);
    expect(spec.linux.readonlyPaths).toEqual([]);
    expect(spec.linux.resources?.devices).toEqual([{ allow: true, access: 'rwm' }]);
    expect(spec.process.capabilities?.bounding).toHaveLength(41);
    expect(spec.mounts.find(({ destination }) => destination === '/sys')?.options).toContain('rw');
  });

  it('of another user keeps no effective capabilities', () => {
    const spec = runtimeSpecOf({
      ...exampleInput(),
      user: { uid: 1000, gid: 1000, additionalGids: [7], home: '/home/a' },
    });
    expect(spec.process.capabilities).toMatchObject({ effective: [], permitted: [] });
    expect(spec.process.capabilities?.bounding).toHaveLength(14);
    expect(spec.process.env).toContain('HOME=/home/a');
    expect(spec.process.user).toEqual({ uid: 1000, gid: 1000, additionalGids: [7] });
  });

  it('lets the user’s mount take the place of a system one', () => {
    const input = exampleInput();
    const spec = runtimeSpecOf({
      ...input,
      mounts: [{ destination: '/etc/hosts', mount: { type: 'bind', source: '/h', options: ['rbind', 'rslave'] } }],
    });
    expect(spec.mounts.filter(({ destination }) => destination === '/etc/hosts')).toEqual([
      { destination: '/etc/hosts', type: 'bind', source: '/h', options: ['rbind', 'rslave'] },
    ]);
    expect(spec.linux.rootfsPropagation).toBe('rslave');
  });

  it('shares the host’s namespaces where asked and sets no host name there', () => {
    const spec = runtimeSpecOf({
      ...exampleInput(),
      namespaces: {
        network: 'host',
        ipc: 'host',
        pid: { path: '/proc/7/ns/pid' },
        uts: 'host',
        cgroup: null,
        user: null,
      },
    });
    expect(spec.linux.namespaces).toEqual([
      { type: 'mount' },
      { type: 'pid', path: '/proc/7/ns/pid' },
      { type: 'cgroup' },
    ]);
    expect(spec.hostname).toBeUndefined();
    expect(spec.linux.sysctl).toEqual({});
  });

  it('turns limits into the kernel’s units', () => {
    const resources = {
      ...exampleSpec().host.resources,
      memoryBytes: 64 << 20,
      nanoCpus: 1_500_000_000,
      pidsLimit: 9,
      cpusetCpus: '0',
    };
    const spec = runtimeSpecOf(exampleInput({ host: { resources } }));
    expect(spec.linux.resources).toMatchObject({
      memory: { limit: 64 << 20, swap: 128 << 20 },
      cpu: { quota: 150_000, period: 100_000, cpus: '0' },
      pids: { limit: 9 },
    });
  });

  it('puts the init in front', () => {
    const spec = runtimeSpecOf({ ...exampleInput(), initPath: '/usr/bin/tini' });
    expect(spec.process.args).toEqual(['/sbin/docker-init', '--', 'sh']);
    expect(destinations(spec)).toContain('/sbin/docker-init');
  });

  it('gives the terminal its size and TERM', () => {
    const spec = runtimeSpecOf(exampleInput({ terminal: true, consoleSize: [24, 80] }));
    expect(spec.process.consoleSize).toEqual({ height: 24, width: 80 });
    expect(spec.process.env).toContain('TERM=xterm');
  });
});

describe('exec process', () => {
  it('inherits environment and bounding set, and overrides what was asked', () => {
    const container = runtimeSpecOf(exampleInput({ env: ['A=1', 'B=2'] })).process;
    const exec = execProcessOf(
      container,
      {
        command: ['id'],
        terminal: false,
        attachStdin: false,
        attachStdout: true,
        attachStderr: true,
        env: ['B=3'],
        user: '',
        workingDirectory: '/tmp',
        privileged: false,
        detachKeys: null,
        consoleSize: null,
      },
      { uid: 5, gid: 5, additionalGids: [], home: '/h' },
      (1n << 41n) - 1n,
    );
    expect(exec.env).toContain('B=3');
    expect(exec.env).not.toContain('B=2');
    expect(exec.env).toContain('HOME=/h');
    expect(exec).toMatchObject({ args: ['id'], cwd: '/tmp', terminal: false, user: { uid: 5, gid: 5 } });
    expect(exec.capabilities?.effective).toEqual([]);
  });
});

describe('environment', () => {
  it('merges by name in place; a bare name removes', () => {
    expect(mergeEnv(['A=1', 'B=2'], ['A=3', 'C=4', 'B'])).toEqual(['A=3', 'C=4']);
  });
});

describe('capabilities', () => {
  const base = { privileged: false, capabilityMask: (1n << 41n) - 1n };

  it.each([
    [[], ['ALL'], 0],
    [['ALL'], [], 41],
    [['ALL'], ['SYS_ADMIN'], 40],
    [['net_admin'], ['CAP_KILL'], 14],
  ])('add %j drop %j gives %i', (add, drop, count) => {
    expect(capabilitiesOf({ ...base, add, drop })).toHaveLength(count);
  });

  it('refuses unknown names', () => {
    expect(() => capabilitiesOf({ ...base, add: ['NOPE'], drop: [] })).toThrow(
      'invalid CapAdd: unknown capability: "CAP_NOPE"',
    );
  });
});

describe('device rules', () => {
  it('are parsed as Docker writes them', () => {
    expect(parseDeviceRule('c 1:* mr')).toEqual({ allow: true, type: 'c', major: 1, access: 'mr' });
    expect(() => parseDeviceRule('x 1:1 r')).toThrow("invalid device cgroup rule format: 'x 1:1 r'");
  });
});
