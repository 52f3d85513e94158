/** Honest request bodies with every field that the API describes, as the ground for dishonest ones. */

const RESOURCES = {
  CpuShares: 512,
  Memory: 67108864,
  CgroupParent: '',
  BlkioWeight: 300,
  BlkioWeightDevice: [{ Path: '/dev/null', Weight: 10 }],
  BlkioDeviceReadBps: [{ Path: '/dev/null', Rate: 1000 }],
  BlkioDeviceWriteBps: [],
  BlkioDeviceReadIOps: [],
  BlkioDeviceWriteIOps: [],
  CpuPeriod: 100000,
  CpuQuota: 50000,
  CpuRealtimePeriod: 0,
  CpuRealtimeRuntime: 0,
  CpusetCpus: '0',
  CpusetMems: '',
  Devices: [{ PathOnHost: '/dev/null', PathInContainer: '/dev/x', CgroupPermissions: 'rwm' }],
  DeviceCgroupRules: ['c 1:3 mr'],
  DeviceRequests: [{ Driver: 'cdi', Count: 0, DeviceIDs: [], Capabilities: [], Options: {} }],
  MemoryReservation: 33554432,
  MemorySwap: 134217728,
  MemorySwappiness: 60,
  NanoCpus: 0,
  OomKillDisable: false,
  Init: false,
  PidsLimit: 100,
  Ulimits: [{ Name: 'nofile', Soft: 100, Hard: 200 }],
  RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 3 },
};

const HOST_CONFIG = {
  ...RESOURCES,
  Binds: ['/tmp:/binds:ro'],
  ContainerIDFile: '',
  LogConfig: { Type: 'json-file', Config: { 'max-size': '1m', 'max-file': '2', labels: 'a', tag: '{{.ID}}' } },
  NetworkMode: 'none',
  PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '0' }] },
  AutoRemove: false,
  VolumeDriver: '',
  VolumesFrom: [],
  Mounts: [
    { Type: 'volume', Source: 'fuzzed', Target: '/m1', ReadOnly: true, VolumeOptions: { NoCopy: true, Labels: {} } },
    { Type: 'tmpfs', Target: '/m2', TmpfsOptions: { SizeBytes: 4096, Mode: 511, Options: [['noexec']] } },
    { Type: 'bind', Source: '/tmp', Target: '/m3', BindOptions: { Propagation: 'rprivate', NonRecursive: true } },
  ],
  ConsoleSize: [24, 80],
  Annotations: { a: 'b' },
  CapAdd: ['NET_ADMIN'],
  CapDrop: ['ALL'],
  CgroupnsMode: 'private',
  Dns: ['192.0.2.1'],
  DnsOptions: ['ndots:1'],
  DnsSearch: ['example.com'],
  ExtraHosts: ['a:192.0.2.2'],
  GroupAdd: ['1000'],
  IpcMode: 'private',
  Cgroup: '',
  Links: [],
  OomScoreAdj: 100,
  PidMode: '',
  Privileged: false,
  PublishAllPorts: true,
  ReadonlyRootfs: true,
  SecurityOpt: ['no-new-privileges'],
  StorageOpt: {},
  Tmpfs: { '/t': 'size=1m,mode=700' },
  UTSMode: '',
  UsernsMode: '',
  ShmSize: 1048576,
  Sysctls: { 'net.ipv4.ip_forward': '0' },
  Runtime: '',
  Isolation: '',
  MaskedPaths: ['/proc/kcore'],
  ReadonlyPaths: ['/proc/sys'],
};

/** `POST /containers/create`. */
export const CREATE_BODY = {
  Hostname: 'fuzz',
  Domainname: 'example.com',
  User: '1000:1000',
  AttachStdin: false,
  AttachStdout: true,
  AttachStderr: true,
  ExposedPorts: { '80/tcp': {}, '53/udp': {} },
  Tty: false,
  OpenStdin: false,
  StdinOnce: false,
  Env: ['A=b', 'C'],
  Cmd: ['true'],
  Healthcheck: { Test: ['CMD', 'true'], Interval: 1e9, Timeout: 1e9, StartPeriod: 0, StartInterval: 1e9, Retries: 3 },
  ArgsEscaped: false,
  Image: 'busybox',
  Volumes: { '/v': {} },
  WorkingDir: '/work',
  Entrypoint: ['env'],
  NetworkDisabled: false,
  MacAddress: '',
  OnBuild: [],
  Labels: { 'org.moored.secret.fuzz': 'target=x,mode=0400', other: '1' },
  StopSignal: 'SIGTERM',
  StopTimeout: 10,
  Shell: ['/bin/sh'],
  HostConfig: HOST_CONFIG,
  NetworkingConfig: { EndpointsConfig: { none: { Aliases: [], DriverOpts: {}, GwPriority: 0 } } },
};

/** `POST /containers/{id}/update`. */
export const UPDATE_BODY = RESOURCES;

/** `POST /containers/{id}/exec`. */
export const EXEC_BODY = {
  AttachStdin: false,
  AttachStdout: true,
  AttachStderr: true,
  ConsoleSize: [24, 80],
  DetachKeys: 'ctrl-p,ctrl-q',
  Tty: false,
  Env: ['A=b'],
  Cmd: ['true'],
  Privileged: false,
  User: '0',
  WorkingDir: '/',
};

/** `POST /exec/{id}/start`. */
export const EXEC_START_BODY = { Detach: true, Tty: false, ConsoleSize: [24, 80] };

/** `POST /volumes/create`. */
export const VOLUME_BODY = {
  Name: 'fuzzed-volume',
  Driver: 'local',
  DriverOpts: { type: 'tmpfs', device: 'tmpfs', o: 'size=1m' },
  Labels: { a: 'b' },
};

/** `POST /secrets/create`, `POST /secrets/{id}/update`. */
export const SECRET_BODY = { Name: 'fuzzed-secret', Labels: { a: 'b' }, Data: 'eA==' };
