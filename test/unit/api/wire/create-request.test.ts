import { describe, expect, it } from 'vitest';
import { ApiVersion } from '../../../../src/api/compat/version.ts';
import { CREATE_REQUEST } from '../../../../src/api/wire/container-config.ts';
import { createOrderOf, type CreateOrder } from '../../../../src/api/wire/create-request.ts';
import { endpointWishOf } from '../../../../src/api/wire/endpoints.ts';
import { decodeAs } from '../../../../src/api/wire/go-struct.ts';
import { parsePlatform } from '../../../../src/api/wire/platform.ts';
import type { JsonObject } from '../../../../src/base/json.ts';

function order(
  host: JsonObject,
  config: JsonObject = {},
  version = '1.51',
  networking: JsonObject | null = null,
): CreateOrder {
  const request = { Image: 'busybox', ...config, HostConfig: host, NetworkingConfig: networking };
  return createOrderOf(decodeAs(CREATE_REQUEST, request), new ApiVersion(version), null);
}

const host = (document: JsonObject, version = '1.51') => order(document, {}, version).spec.host;

describe('mounts', () => {
  it('reads binds, named and anonymous volumes', () => {
    const { mounts } = host({ Binds: ['/a/../b/:/c/:ro,z,rslave', 'data:/d', 'data:/e:nocopy', '/anon'] });
    expect(mounts).toMatchObject([
      { kind: 'bind', source: '/b', target: '/c', readOnly: true, propagation: 'rslave', createSource: true },
      { kind: 'volume', name: 'data', target: '/d', readOnly: false, mode: 'z', noCopy: false },
      { kind: 'volume', name: 'data', target: '/e', noCopy: true, mode: 'nocopy' },
      { kind: 'volume', name: null, target: '/anon', mode: '' },
    ]);
  });

  it.each([
    [
      'a:b',
      "invalid volume specification: 'a:b': invalid mount config for type \"volume\": invalid mount path: 'b' mount path must be absolute",
    ],
    ['/a:/b:foo', 'invalid mode: foo'],
    ['/a:/b:ro,rw', 'invalid mode: ro,rw'],
    ['/a:/b:ro:x', "invalid volume specification: '/a:/b:ro:x'"],
    [
      '/a:/',
      "invalid volume specification: '/a:/': invalid mount config for type \"bind\": invalid specification: destination can't be '/'",
    ],
    ['/a:ro', "invalid volume specification: '/a:ro'"],
  ])('refuses the bind %s', (bind, message) => {
    expect(() => host({ Binds: [bind] })).toThrow(message);
  });

  it.each<[JsonObject, string]>([
    [{ Type: 'foo', Target: '/x' }, 'invalid mount config for type "foo": mount type unknown'],
    [{ Type: 'bind', Target: '/x' }, 'invalid mount config for type "bind": field Source must not be empty'],
    [{ Type: 'bind', Source: '/x' }, 'field Target must not be empty'],
    [{ Type: 'bind', Source: 'x', Target: '/x' }, "invalid mount path: 'x' mount path must be absolute"],
    [{ Type: 'tmpfs', Source: '/x', Target: '/x' }, 'field Source must not be specified'],
    [{ Type: 'bind', Source: '/x', Target: '/x', VolumeOptions: {} }, 'field VolumeOptions must not be specified'],
    [{ Type: 'image', Target: '/x' }, 'invalid mount config for type "image": field Source must not be empty'],
    [{ Type: 'npipe', Source: 'x', Target: '/x' }, 'invalid mount config for type "npipe": mount type unknown'],
    [{ Type: 'cluster', Source: 'x', Target: '/x' }, 'invalid mount config for type "cluster": mount type unknown'],
    [
      { Type: 'volume', Target: '/x', VolumeOptions: { Subpath: 'a' } },
      'invalid mount config for type "volume": must not set Subpath when using anonymous volumes',
    ],
    [
      { Type: 'volume', Source: 'v', Target: '/x', VolumeOptions: { Subpath: '../a' } },
      'invalid mount config for type "volume": subpath must be a relative path within the volume',
    ],
    [
      { Type: 'image', Source: 'v', Target: '/x', ImageOptions: { Subpath: '/a' } },
      'invalid mount config for type "image": subpath must be a relative path within the volume',
    ],
    [
      { Type: 'volume', Target: '/x', ReadOnly: true },
      'invalid mount config for type "volume": must not set ReadOnly mode when using anonymous volumes',
    ],
    [
      { Type: 'bind', Source: '/', Target: '/x', BindOptions: { ReadOnlyForceRecursive: true } },
      'mount options conflict: !ReadOnly && BindOptions.ReadOnlyForceRecursive',
    ],
    [
      {
        Type: 'bind',
        Source: '/',
        Target: '/x',
        ReadOnly: true,
        BindOptions: { ReadOnlyNonRecursive: true, ReadOnlyForceRecursive: true },
      },
      'mount options conflict: ReadOnlyNonRecursive && BindOptions.ReadOnlyForceRecursive',
    ],
  ])('refuses the mount %j', (mount, message) => {
    expect(() => host({ Mounts: [mount] })).toThrow(message);
  });

  it('refuses two mounts on one target', () => {
    expect(() => host({ Binds: ['/a:/x'], Mounts: [{ Type: 'tmpfs', Target: '/x/' }] })).toThrow(
      'Duplicate mount point: /x',
    );
  });

  it('makes the missing source of a bind mount only when asked, and knows the option from 1.42', () => {
    const mount = { Type: 'bind', Source: '/a', Target: '/b', BindOptions: { CreateMountpoint: true } };
    expect(host({ Mounts: [mount] }).mounts[0]).toMatchObject({ createSource: true });
    expect(host({ Mounts: [mount] }, '1.41').mounts[0]).toMatchObject({ createSource: false });
    expect(
      host({ Mounts: [{ Type: 'tmpfs', Target: '/t', TmpfsOptions: { SizeBytes: 5, Mode: 0o700 } }] }).mounts,
    ).toEqual([{ kind: 'tmpfs', target: '/t', options: ['mode=700', 'size=5'] }]);
  });
});

describe('networks and ports', () => {
  it.each([
    ['', { kind: 'network', name: 'bridge' }],
    ['default', { kind: 'network', name: 'bridge' }],
    ['host', { kind: 'host' }],
    ['container:x', { kind: 'container', ref: 'x' }],
    ['mine', { kind: 'network', name: 'mine' }],
  ])('mode %j', (mode, network) => {
    expect(host({ NetworkMode: mode }).network).toEqual(network);
  });

  it('reads port bindings with ranges', () => {
    const bindings = { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '8080-8081' }, { HostPort: '' }], '53/udp': [] };
    expect(host({ PortBindings: bindings }).portBindings).toEqual([
      { container: { port: 80, protocol: 'tcp' }, hostIp: '127.0.0.1', hostPortStart: 8080, hostPortEnd: 8081 },
      { container: { port: 80, protocol: 'tcp' }, hostIp: '', hostPortStart: 0, hostPortEnd: 0 },
    ]);
  });

  it('refuses bad ports and modes in Docker’s words', () => {
    expect(() => host({ PortBindings: { '80/tcp': [{ HostPort: 'abc' }] } })).toThrow(
      'invalid port specification: "abc"',
    );
    expect(() => host({ PortBindings: { '80/foo': [] } })).toThrow('invalid proto: foo');
    expect(() => host({ PortBindings: { '99999/tcp': [] } })).toThrow('invalid port specification: "99999"');
    expect(() => host({ NetworkMode: 'container' })).toThrow(
      'invalid network mode: invalid container format container:<name|id>',
    );
    for (const [field, noun] of [
      ['IpcMode', 'IPC'],
      ['PidMode', 'PID'],
      ['UTSMode', 'UTS'],
      ['CgroupnsMode', 'cgroup namespace'],
    ]) {
      expect(() => host({ [field!]: 'foo' })).toThrow(`invalid ${noun!} mode: foo`);
    }
  });

  it('takes requests of an endpoint and leaves its state', () => {
    const networking = {
      EndpointsConfig: { default: { IPAddress: '1.2.3.4', IPAMConfig: { IPv4Address: '5.6.7.8' }, Aliases: ['a'] } },
    };
    expect(order({}, {}, '1.51', networking).spec.host.endpoints).toEqual({
      bridge: { aliases: ['a'], ipv4Address: '5.6.7.8', ipv6Address: null, macAddress: null },
    });
    const two = { EndpointsConfig: { bridge: {}, other: {} } };
    expect(() => order({}, {}, '1.43', two)).toThrow(
      'Container cannot be created with multiple network endpoints: bridge, other',
    );
    expect(Object.keys(order({}, {}, '1.51', two).spec.host.endpoints)).toEqual(['bridge', 'other']);
    expect(() => order({}, {}, '1.51', { EndpointsConfig: { other: null } })).toThrow(
      'invalid config for network other: EndpointsConfig is nil',
    );
    const mac = { EndpointsConfig: { bridge: { MacAddress: '02:00:00:00:00:01' } } };
    expect(order({}, {}, '1.43', mac).spec.host.endpoints).toMatchObject({ bridge: { macAddress: null } });
    expect(order({}, {}, '1.44', mac).spec.host.endpoints).toMatchObject({
      bridge: { macAddress: '02:00:00:00:00:01' },
    });
    // At `connect` it always counted.
    expect(endpointWishOf({ MacAddress: '02:00:00:00:00:01' }, new ApiVersion('1.41'))).toMatchObject({
      macAddress: '02:00:00:00:00:01',
    });
  });
});

describe('nothing is dropped', () => {
  it.each<[JsonObject, string]>([
    [{ Links: ['a:b:c'] }, 'bad format for links: a:b:c'],
    [{ Links: [''] }, 'empty string specified for links'],
    [{ IOMaximumBandwidth: 1 }, 'invalid QoS settings: linux does not support configuration of maximum bandwidth'],
    [{ IOMaximumIOps: 1 }, 'invalid QoS settings: linux does not support configuration of maximum IOPs'],
    [{ Isolation: 'hyperv' }, 'invalid isolation: "hyperv" - linux only supports \'default\''],
    [{ RestartPolicy: { Name: 'foo' } }, "invalid restart policy: unknown policy 'foo'"],
  ])('refuses %j', (document, message) => {
    expect(() => host(document)).toThrow(message);
  });

  it('warns of what Linux ignores', () => {
    expect(order({ CpuCount: 2, CpuPercent: 5, Cgroup: 'x' }).warnings).toEqual([
      'linux does not support CPU percent. Percent discarded.',
      'linux does not support CPU count. Count discarded.',
      'Cgroup has no effect on linux. Setting discarded.',
    ]);
    expect(order({ Isolation: 'default', UsernsMode: 'host', Links: [], CpuCount: 0 }).warnings).toEqual([]);
  });
});

describe('what was asked for', () => {
  it('of block devices, kernel memory and real-time scheduling', () => {
    const rate = { Path: '/dev/sda', Rate: 5 };
    const { resources } = host(
      {
        BlkioWeightDevice: [{ Path: '/dev/sda', Weight: 100 }],
        BlkioDeviceReadBps: [rate],
        BlkioDeviceWriteBps: [rate],
        BlkioDeviceReadIOps: [rate],
        BlkioDeviceWriteIOps: [rate],
        CpuRealtimePeriod: 2,
        CpuRealtimeRuntime: 1,
        KernelMemory: 7,
        KernelMemoryTCP: 8,
      },
      '1.41',
    );
    expect(resources).toMatchObject({
      blkioWeightDevices: [{ path: '/dev/sda', value: 100 }],
      blkioReadBps: [{ path: '/dev/sda', value: 5 }],
      blkioWriteBps: [{ path: '/dev/sda', value: 5 }],
      blkioReadIops: [{ path: '/dev/sda', value: 5 }],
      blkioWriteIops: [{ path: '/dev/sda', value: 5 }],
      cpuRealtimePeriodUs: 2,
      cpuRealtimeRuntimeUs: 1,
      kernelMemoryBytes: 7,
      kernelMemoryTcpBytes: 8,
    });
    // The field went with 1.42.
    expect(host({ KernelMemory: 7 }, '1.42').resources.kernelMemoryBytes).toBe(0);
  });

  it.each([
    ['db', { ref: 'db', alias: 'db' }],
    ['db:store', { ref: 'db', alias: 'store' }],
    ['/db:/web/store', { ref: 'db', alias: 'store' }],
  ])('of a link %s', (text, link) => {
    expect(host({ Links: [text] }).links).toEqual([link]);
  });

  it('of devices and of the container’s own layer', () => {
    expect(
      host({ DeviceRequests: [{ Driver: 'cdi', DeviceIDs: ['v.com/c=1'] }], StorageOpt: { size: '1G' } }),
    ).toMatchObject({
      deviceRequests: [{ driver: 'cdi', count: 0, ids: ['v.com/c=1'], capabilities: [], options: {} }],
      storageOptions: { size: '1G' },
    });
  });
});

describe('older versions and odd values', () => {
  it('keeps what fields meant then', () => {
    expect(host({}, '1.39').ipcMode).toEqual({ kind: 'shareable' });
    expect(host({}, '1.40').cgroupnsMode).toEqual({ kind: 'host' });
    expect(host({}, '1.51')).toMatchObject({ ipcMode: null, cgroupnsMode: null });
    expect(order({ ConsoleSize: [24, 80] }).spec.consoleSize).toEqual([24, 80]);
    expect(order({ ConsoleSize: [24, 80] }, {}, '1.41').spec.consoleSize).toBeNull();
    expect(host({ PidsLimit: -1, MemorySwappiness: -1 }).resources).toMatchObject({
      pidsLimit: null,
      memorySwappiness: null,
    });
  });

  it('tells null, empty and absent entrypoints apart', () => {
    expect(order({}, { Entrypoint: null }).spec.entrypoint).toBeNull();
    expect(order({}, { Entrypoint: [] }).spec.entrypoint).toEqual([]);
    expect(order({}, { Entrypoint: 'sh' }).spec.entrypoint).toEqual(['sh']);
  });

  it('refuses an empty config and impossible health checks', () => {
    expect(() => createOrderOf({}, new ApiVersion('1.51'), null)).toThrow(
      'config cannot be empty in order to create a container',
    );
    expect(() => order({}, { Healthcheck: { Interval: 5 } })).toThrow(
      'Interval in Healthcheck cannot be less than 1ms',
    );
  });

  it('reads platforms', () => {
    expect(parsePlatform('linux/arm64/v8')).toEqual({ os: 'linux', architecture: 'arm64', variant: 'v8' });
    expect(parsePlatform('linux/arm/v7')).toEqual({ os: 'linux', architecture: 'arm', variant: 'v7' });
    expect(parsePlatform('x86_64')).toEqual({ os: 'linux', architecture: 'amd64' });
    expect(() => parsePlatform('a/b/c/d')).toThrow('cannot parse platform specifier');
    expect(() => parsePlatform('foo')).toThrow('"foo": unknown operating system or architecture: invalid argument');
  });
});
