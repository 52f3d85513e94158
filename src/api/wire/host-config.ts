/** Docker's `container.HostConfig`, v1.51's field order. */
import {
  bool,
  int,
  int64,
  map,
  named,
  omitEmpty,
  pointer,
  slice,
  stringOrSlice,
  struct,
  text,
  uint,
  uint16,
  uint64,
  type ValueOf,
} from './go-struct.ts';

const LOG_CONFIG = struct('container.LogConfig', { Type: text, Config: map(text) });
const RESTART_POLICY = struct('container.RestartPolicy', { Name: text, MaximumRetryCount: int });
const PORT_BINDING = struct('nat.PortBinding', { HostIp: text, HostPort: text });
const DEVICE = struct('container.DeviceMapping', { PathOnHost: text, PathInContainer: text, CgroupPermissions: text });
const DEVICE_REQUEST = struct('container.DeviceRequest', {
  Driver: text,
  Count: int,
  DeviceIDs: slice(text),
  Capabilities: slice(slice(text)),
  Options: map(text),
});
export const ULIMIT = struct('units.Ulimit', { Name: text, Hard: int64, Soft: int64 });
const WEIGHT_DEVICE = struct('blkiodev.WeightDevice', { Path: text, Weight: uint16 });
const THROTTLE_DEVICE = struct('blkiodev.ThrottleDevice', { Path: text, Rate: uint64 });

export const MOUNT = struct('mount.Mount', {
  Type: omitEmpty(named('mount.Type', text)),
  Source: omitEmpty(text),
  Target: omitEmpty(text),
  ReadOnly: omitEmpty(bool),
  Consistency: omitEmpty(text),
  BindOptions: omitEmpty(
    pointer(
      struct('mount.BindOptions', {
        Propagation: omitEmpty(text),
        NonRecursive: omitEmpty(bool),
        CreateMountpoint: omitEmpty(bool),
        ReadOnlyNonRecursive: omitEmpty(bool),
        ReadOnlyForceRecursive: omitEmpty(bool),
        IDMap: omitEmpty(bool),
      }),
    ),
  ),
  VolumeOptions: omitEmpty(
    pointer(
      struct('mount.VolumeOptions', {
        NoCopy: omitEmpty(bool),
        Labels: omitEmpty(map(text)),
        Subpath: omitEmpty(text),
        DriverConfig: omitEmpty(
          pointer(struct('mount.Driver', { Name: omitEmpty(text), Options: omitEmpty(map(text)) })),
        ),
      }),
    ),
  ),
  ImageOptions: omitEmpty(pointer(struct('mount.ImageOptions', { Subpath: omitEmpty(text) }))),
  TmpfsOptions: omitEmpty(
    pointer(
      struct('mount.TmpfsOptions', {
        SizeBytes: omitEmpty(int64),
        Mode: omitEmpty(named('os.FileMode', int)),
        Options: omitEmpty(slice(slice(text))),
      }),
    ),
  ),
  ClusterOptions: omitEmpty(pointer(struct('mount.ClusterOptions', {}))),
});
export type MountDocument = ValueOf<typeof MOUNT>;

export const HOST_CONFIG_FIELDS = {
  Binds: slice(text),
  ContainerIDFile: text,
  LogConfig: LOG_CONFIG,
  NetworkMode: named('container.NetworkMode', text),
  PortBindings: map(slice(PORT_BINDING), 'nat.PortMap'),
  RestartPolicy: RESTART_POLICY,
  AutoRemove: bool,
  VolumeDriver: text,
  VolumesFrom: slice(text),
  ConsoleSize: slice(uint, '[2]uint'),
  Annotations: omitEmpty(map(text)),
  CapAdd: stringOrSlice,
  CapDrop: stringOrSlice,
  CgroupnsMode: named('container.CgroupnsMode', text),
  Dns: slice(text),
  DnsOptions: slice(text),
  DnsSearch: slice(text),
  ExtraHosts: slice(text),
  GroupAdd: slice(text),
  IpcMode: named('container.IpcMode', text),
  Cgroup: named('container.CgroupSpec', text),
  Links: slice(text),
  OomScoreAdj: int,
  PidMode: named('container.PidMode', text),
  Privileged: bool,
  PublishAllPorts: bool,
  ReadonlyRootfs: bool,
  SecurityOpt: slice(text),
  StorageOpt: omitEmpty(map(text)),
  Tmpfs: omitEmpty(map(text)),
  UTSMode: named('container.UTSMode', text),
  UsernsMode: named('container.UsernsMode', text),
  ShmSize: int64,
  Sysctls: omitEmpty(map(text)),
  Runtime: omitEmpty(text),
  Isolation: named('container.Isolation', text),
  CpuShares: int64,
  Memory: int64,
  NanoCpus: int64,
  CgroupParent: text,
  BlkioWeight: uint16,
  BlkioWeightDevice: slice(WEIGHT_DEVICE, '[]*blkiodev.WeightDevice'),
  BlkioDeviceReadBps: slice(THROTTLE_DEVICE, '[]*blkiodev.ThrottleDevice'),
  BlkioDeviceWriteBps: slice(THROTTLE_DEVICE, '[]*blkiodev.ThrottleDevice'),
  BlkioDeviceReadIOps: slice(THROTTLE_DEVICE, '[]*blkiodev.ThrottleDevice'),
  BlkioDeviceWriteIOps: slice(THROTTLE_DEVICE, '[]*blkiodev.ThrottleDevice'),
  CpuPeriod: int64,
  CpuQuota: int64,
  CpuRealtimePeriod: int64,
  CpuRealtimeRuntime: int64,
  CpusetCpus: text,
  CpusetMems: text,
  Devices: slice(DEVICE),
  DeviceCgroupRules: slice(text),
  DeviceRequests: slice(DEVICE_REQUEST),
  KernelMemory: omitEmpty(int64),
  KernelMemoryTCP: omitEmpty(int64),
  MemoryReservation: int64,
  MemorySwap: int64,
  MemorySwappiness: pointer(int64),
  OomKillDisable: pointer(bool),
  PidsLimit: pointer(int64),
  Ulimits: slice(ULIMIT, '[]*units.Ulimit'),
  CpuCount: int64,
  CpuPercent: int64,
  IOMaximumIOps: uint64,
  IOMaximumBandwidth: uint64,
  Mounts: omitEmpty(slice(MOUNT)),
  MaskedPaths: slice(text),
  ReadonlyPaths: slice(text),
  Init: omitEmpty(pointer(bool)),
};
export const HOST_CONFIG = struct('container.HostConfig', HOST_CONFIG_FIELDS);
export type HostConfigDocument = ValueOf<typeof HOST_CONFIG>;
