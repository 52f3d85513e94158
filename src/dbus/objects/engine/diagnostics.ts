/** What is wrong, or about to be, with the host, the configuration or the engine. */
import type { SystemInfo } from '../../../engine/index.ts';
import { variant, type Variant } from '../../bus/exported.ts';
import { CONFIG_PATH, MANAGER_PATH } from '../../names.ts';
import type { ServiceFacts } from '../../service-port.ts';

export interface Finding {
  readonly severity: 'info' | 'warning' | 'error';
  /** A stable word for programs. */
  readonly code: string;
  /** Path of an object, a file, a key … */
  readonly object: string;
  /** English; what to do. */
  readonly hint: string;
  readonly details: Readonly<Record<string, Variant>>;
}

/** Below a tenth of the disk people should act; below a hundredth nothing can be pulled or logged much longer. */
const SPACE_WARNING = 0.1;
const SPACE_ERROR = 0.01;
/** On very large disks a tenth is plenty. */
const SPACE_ENOUGH_BYTES = 50 * 1024 ** 3;

/** All findings, the worst first. Cheap and synchronous: property `Warnings` comes from the same. */
export function findingsOf(info: SystemInfo, facts: ServiceFacts): readonly Finding[] {
  const found = [
    ...spaceFindings(info, facts),
    ...configurationFindings(facts),
    ...accessFindings(facts),
    ...hostFindings(info),
    ...firewallFindings(info),
    ...storageFindings(info),
  ];
  const rank = { error: 0, warning: 1, info: 2 };
  return found.sort((a, b) => rank[a.severity] - rank[b.severity]);
}

function spaceFindings({ dataRoot }: SystemInfo, facts: ServiceFacts): readonly Finding[] {
  const { availableBytes, totalBytes } = facts.dataSpace();
  const share = totalBytes === 0 ? 1 : availableBytes / totalBytes;
  if (share >= SPACE_WARNING || availableBytes >= SPACE_ENOUGH_BYTES) return [];
  return [
    {
      severity: share < SPACE_ERROR ? 'error' : 'warning',
      code: 'disk-nearly-full',
      object: dataRoot,
      hint: 'Little room is left for images and containers: prune what nobody uses (PreviewPrune shows what), or enlarge the disk.',
      details: { Available: variant('t', availableBytes), Total: variant('t', totalBytes) },
    },
  ];
}

function configurationFindings(facts: ServiceFacts): readonly Finding[] {
  const pending = facts.pendingRestart();
  return [
    ...(pending.length === 0
      ? []
      : [
          {
            severity: 'warning' as const,
            code: 'pending-restart',
            object: CONFIG_PATH,
            hint: 'The configuration has changed in keys that only a restart of docker.service applies.',
            details: { Keys: variant('as', pending) },
          },
        ]),
    ...facts.configFindings().map((finding) => ({ ...finding, details: {} })),
  ];
}

function accessFindings(facts: ServiceFacts): readonly Finding[] {
  const plain = facts.listeners().filter(({ isPlainTcp }) => isPlainTcp);
  return [
    ...plain.map(({ address }) => ({
      severity: 'warning' as const,
      code: 'plain-tcp',
      object: address,
      hint: 'Whoever reaches this address is root on this host: use --tlsverify with client certificates, or ssh.',
      details: {},
    })),
    ...(facts.hasPolkit()
      ? []
      : [
          {
            severity: 'warning' as const,
            code: 'no-polkit',
            object: MANAGER_PATH,
            hint: 'polkit does not answer, so over D-Bus only root may do anything: install and start polkit.',
            details: {},
          },
        ]),
  ];
}

/** Controllers and sysctls that the host lacks, with what does not work then. */
function firewallFindings({ firewall }: SystemInfo): readonly Finding[] {
  return firewall.missingZones.map((zone) => ({
    severity: 'warning' as const,
    code: 'firewalld-zone-missing',
    object: zone,
    hint:
      `A network's bridge is to be in the zone "${zone}", which firewalld does not have: it drops what containers there ` +
      `send and receive, as its default zone says. Make it (firewall-cmd --permanent --new-zone=${zone}, then --reload).`,
    details: {},
  }));
}

function hostFindings({ limits, cgroupVersion }: SystemInfo): readonly Finding[] {
  const controllers = [
    { name: 'memory', isThere: limits.memory, effect: 'memory limits' },
    { name: 'cpu', isThere: limits.cpuCfs, effect: 'CPU quotas' },
    { name: 'cpuset', isThere: limits.cpuset, effect: 'pinning to CPUs' },
    { name: 'pids', isThere: limits.pids, effect: 'process limits' },
  ].filter(({ isThere }) => !isThere);
  return [
    ...controllers.map(({ name, effect }) => ({
      severity: 'warning' as const,
      code: 'cgroup-controller-missing',
      object: name,
      hint: `The control group controller "${name}" is not there: ${effect} of containers are not enforced. Boot with it enabled.`,
      details: { CgroupVersion: variant('s', cgroupVersion) },
    })),
    ...(limits.ipv4Forwarding
      ? []
      : [
          {
            severity: 'warning' as const,
            code: 'ip-forwarding-off',
            object: 'net.ipv4.ip_forward',
            hint: 'IPv4 forwarding is off: containers on bridges reach nothing outside. Set the sysctl to 1.',
            details: {},
          },
        ]),
  ];
}

function storageFindings({ storageDriver, dataRoot, warnings }: SystemInfo): readonly Finding[] {
  const driver: readonly Finding[] =
    storageDriver === 'vfs'
      ? [
          {
            severity: 'warning',
            code: 'storage-driver-unfit',
            object: dataRoot,
            hint: 'Storage driver vfs copies whole images for each layer and container: use a file system where overlay2 or btrfs works.',
            details: { StorageDriver: variant('s', storageDriver) },
          },
        ]
      : [];
  return [
    ...driver,
    ...warnings.map((text) => ({
      severity: 'info' as const,
      code: 'engine-warning',
      object: MANAGER_PATH,
      hint: text.replace(/^WARNING: /, ''),
      details: {},
    })),
  ];
}
