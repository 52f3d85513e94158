/**
 * Every option of dockerd that this engine knows, as one table: the flag, its key in daemon.json, its type and default,
 * and whether it is offered. What is not offered is refused with the reason as soon as it is set to something other
 * than its default: never taken in silence.
 */
export type OptionValue = boolean | number | string | readonly string[] | Readonly<Record<string, string>>;

interface OptionBase {
  /** Long flag without dashes; also the key in daemon.json unless `key` says otherwise. */
  readonly flag: string;
  readonly short?: string;
  readonly key?: string;
  readonly help: string;
  /** Why a value other than the default is refused; absent when the option works. */
  readonly refused?: string;
}

export type OptionDefinition =
  | (OptionBase & { readonly type: 'boolean'; readonly fallback: boolean })
  | (OptionBase & { readonly type: 'integer'; readonly fallback: number })
  | (OptionBase & { readonly type: 'string'; readonly fallback: string })
  | (OptionBase & { readonly type: 'bytes'; readonly fallback: number })
  | (OptionBase & { readonly type: 'list'; readonly fallback: readonly string[] })
  | (OptionBase & { readonly type: 'map'; readonly fallback: Readonly<Record<string, string>> });

const LATER = 'is not supported by this version of moored';
const NO_SWARM = 'belongs to swarm mode, which moored does not have';
const MIB = 1024 * 1024;

export const OPTIONS = [
  {
    flag: 'add-runtime',
    key: 'runtimes',
    type: 'map',
    fallback: {},
    help: 'Register an additional OCI compatible runtime',
  },
  {
    flag: 'authorization-plugin',
    key: 'authorization-plugins',
    type: 'list',
    fallback: [],
    help: 'Authorization plugins to load',
    refused: LATER,
  },
  { flag: 'bip', type: 'string', fallback: '', help: 'IPv4 address for the default bridge' },
  {
    flag: 'bridge',
    short: 'b',
    type: 'string',
    fallback: '',
    help: 'Attach containers to a network bridge ("none" for none)',
  },
  { flag: 'cgroup-parent', type: 'string', fallback: '', help: 'Set parent cgroup for all containers' },
  { flag: 'data-root', type: 'string', fallback: '/var/lib/docker', help: 'Root directory of persistent state' },
  { flag: 'debug', short: 'D', type: 'boolean', fallback: false, help: 'Enable debug mode' },
  {
    flag: 'default-address-pool',
    key: 'default-address-pools',
    type: 'list',
    fallback: [],
    help: 'Default address pools (base=CIDR,size=N)',
  },
  {
    flag: 'default-cgroupns-mode',
    type: 'string',
    fallback: '',
    help: 'Default cgroup namespace mode ("host" | "private")',
  },
  { flag: 'default-gateway', type: 'string', fallback: '', help: 'Default gateway IPv4 address of the default bridge' },
  { flag: 'default-ipc-mode', type: 'string', fallback: 'private', help: 'Default IPC mode ("shareable" | "private")' },
  {
    flag: 'default-runtime',
    type: 'string',
    fallback: '',
    help: 'Default OCI runtime (default: crun where usable, else runc)',
  },
  { flag: 'default-shm-size', type: 'bytes', fallback: 64 * MIB, help: 'Default shm size for containers' },
  { flag: 'default-ulimit', key: 'default-ulimits', type: 'map', fallback: {}, help: 'Default ulimits for containers' },
  { flag: 'dns', type: 'list', fallback: [], help: 'DNS server to use' },
  { flag: 'dns-opt', key: 'dns-opts', type: 'list', fallback: [], help: 'DNS options to use' },
  { flag: 'dns-search', type: 'list', fallback: [], help: 'DNS search domains to use' },
  {
    flag: 'exec-opt',
    key: 'exec-opts',
    type: 'list',
    fallback: [],
    help: 'Runtime execution options (native.cgroupdriver=cgroupfs)',
  },
  { flag: 'exec-root', type: 'string', fallback: '/var/run/docker', help: 'Root directory for execution state files' },
  { flag: 'experimental', type: 'boolean', fallback: false, help: 'Enable experimental features' },
  { flag: 'fixed-cidr', type: 'string', fallback: '', help: 'IPv4 subnet for the default bridge network' },
  {
    flag: 'fixed-cidr-v6',
    type: 'string',
    fallback: '',
    help: 'IPv6 subnet for the default bridge network',
    refused: LATER,
  },
  { flag: 'group', short: 'G', type: 'string', fallback: 'docker', help: 'Group for the unix socket' },
  { flag: 'host', short: 'H', key: 'hosts', type: 'list', fallback: [], help: 'Daemon socket(s) to connect to' },
  { flag: 'host-gateway-ip', type: 'string', fallback: '', help: 'Address of the "host-gateway" in --add-host' },
  { flag: 'http-proxy', type: 'string', fallback: '', help: 'HTTP proxy for registry traffic' },
  { flag: 'https-proxy', type: 'string', fallback: '', help: 'HTTPS proxy for registry traffic' },
  { flag: 'no-proxy', type: 'string', fallback: '', help: 'Hosts for which no proxy is used' },
  { flag: 'icc', type: 'boolean', fallback: true, help: 'Enable inter-container communication on the default bridge' },
  {
    flag: 'init',
    type: 'boolean',
    fallback: false,
    help: 'Run an init in the container to forward signals and reap processes',
  },
  { flag: 'init-path', type: 'string', fallback: '', help: 'Path to the init binary' },
  {
    flag: 'insecure-registry',
    key: 'insecure-registries',
    type: 'list',
    fallback: [],
    help: 'Registries without verified TLS',
  },
  { flag: 'ip', type: 'string', fallback: '0.0.0.0', help: 'Host IP for port publishing' },
  { flag: 'ip-forward', type: 'boolean', fallback: true, help: 'Enable IP forwarding in the kernel' },
  { flag: 'ip-masq', type: 'boolean', fallback: true, help: 'Enable IP masquerading for the default bridge' },
  { flag: 'ip6tables', type: 'boolean', fallback: true, help: 'Enable addition of IPv6 firewall rules' },
  { flag: 'iptables', type: 'boolean', fallback: true, help: 'Enable addition of firewall rules' },
  { flag: 'ipv6', type: 'boolean', fallback: false, help: 'Enable IPv6 on the default bridge', refused: LATER },
  { flag: 'label', key: 'labels', type: 'list', fallback: [], help: 'Set key=value labels of the daemon' },
  { flag: 'live-restore', type: 'boolean', fallback: false, help: 'Keep containers alive while the daemon is down' },
  { flag: 'log-driver', type: 'string', fallback: 'json-file', help: 'Default driver for container logs' },
  { flag: 'log-format', type: 'string', fallback: 'text', help: 'Format of the engine log ("text" | "json")' },
  { flag: 'log-level', short: 'l', type: 'string', fallback: 'info', help: 'Level of the engine log' },
  { flag: 'log-opt', key: 'log-opts', type: 'map', fallback: {}, help: 'Default log driver options for containers' },
  {
    flag: 'max-concurrent-downloads',
    type: 'integer',
    fallback: 3,
    help: 'Layers downloaded at the same time for each pull',
  },
  {
    flag: 'max-concurrent-uploads',
    type: 'integer',
    fallback: 5,
    help: 'Layers uploaded at the same time for each push',
  },
  { flag: 'max-download-attempts', type: 'integer', fallback: 5, help: 'Attempts for each download' },
  { flag: 'mtu', type: 'integer', fallback: 1500, help: 'MTU of the default bridge' },
  {
    flag: 'no-new-privileges',
    type: 'boolean',
    fallback: false,
    help: 'Set no-new-privileges by default for new containers',
  },
  { flag: 'pidfile', short: 'p', type: 'string', fallback: '/var/run/docker.pid', help: 'Path of the daemon PID file' },
  {
    flag: 'registry-mirror',
    key: 'registry-mirrors',
    type: 'list',
    fallback: [],
    help: 'Preferred mirrors of Docker Hub',
  },
  {
    flag: 'seccomp-profile',
    type: 'string',
    fallback: 'builtin',
    help: 'Path of a seccomp profile, "builtin" or "unconfined"',
  },
  { flag: 'selinux-enabled', type: 'boolean', fallback: false, help: 'Enable SELinux support', refused: LATER },
  { flag: 'shutdown-timeout', type: 'integer', fallback: 15, help: 'Seconds to wait for containers at shutdown' },
  { flag: 'storage-driver', short: 's', type: 'string', fallback: '', help: 'Storage driver to use' },
  { flag: 'storage-opt', key: 'storage-opts', type: 'list', fallback: [], help: 'Storage driver options' },
  {
    flag: 'swarm-default-advertise-addr',
    type: 'string',
    fallback: '',
    help: 'Default address for swarm',
    refused: NO_SWARM,
  },
  { flag: 'tls', type: 'boolean', fallback: false, help: 'Use TLS', refused: LATER },
  { flag: 'tlsverify', type: 'boolean', fallback: false, help: 'Use TLS and verify the client', refused: LATER },
  { flag: 'tlscacert', type: 'string', fallback: '', help: 'Trust certs signed only by this CA', refused: LATER },
  { flag: 'tlscert', type: 'string', fallback: '', help: 'Path to TLS certificate file', refused: LATER },
  { flag: 'tlskey', type: 'string', fallback: '', help: 'Path to TLS key file', refused: LATER },
  {
    flag: 'userland-proxy',
    type: 'boolean',
    fallback: false,
    help: 'Use a proxy process for loopback traffic',
    refused: `${LATER}: loopback traffic is forwarded by the kernel`,
  },
  { flag: 'userns-remap', type: 'string', fallback: '', help: 'User setting for user namespaces', refused: LATER },
] as const satisfies readonly OptionDefinition[];

export type OptionFlag = (typeof OPTIONS)[number]['flag'];

/** The key of an option in daemon.json. */
export function keyOf(option: OptionDefinition): string {
  return option.key ?? option.flag;
}
