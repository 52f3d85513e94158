import { InvalidArgumentError } from '../../../base/errors.ts';

/** Every capability of Linux up to 5.9 (capabilities(7)), in kernel order. */
const ALL_CAPABILITIES: readonly string[] = [
  'CHOWN',
  'DAC_OVERRIDE',
  'DAC_READ_SEARCH',
  'FOWNER',
  'FSETID',
  'KILL',
  'SETGID',
  'SETUID',
  'SETPCAP',
  'LINUX_IMMUTABLE',
  'NET_BIND_SERVICE',
  'NET_BROADCAST',
  'NET_ADMIN',
  'NET_RAW',
  'IPC_LOCK',
  'IPC_OWNER',
  'SYS_MODULE',
  'SYS_RAWIO',
  'SYS_CHROOT',
  'SYS_PTRACE',
  'SYS_PACCT',
  'SYS_ADMIN',
  'SYS_BOOT',
  'SYS_NICE',
  'SYS_RESOURCE',
  'SYS_TIME',
  'SYS_TTY_CONFIG',
  'MKNOD',
  'LEASE',
  'AUDIT_WRITE',
  'AUDIT_CONTROL',
  'SETFCAP',
  'MAC_OVERRIDE',
  'MAC_ADMIN',
  'SYSLOG',
  'WAKE_ALARM',
  'BLOCK_SUSPEND',
  'AUDIT_READ',
  'PERFMON',
  'BPF',
  'CHECKPOINT_RESTORE',
].map((name) => `CAP_${name}`);

/** What an ordinary container gets: Docker's documented default list. */
const DEFAULT_CAPABILITIES: readonly string[] = [
  'CHOWN',
  'DAC_OVERRIDE',
  'FSETID',
  'FOWNER',
  'MKNOD',
  'NET_RAW',
  'SETGID',
  'SETUID',
  'SETFCAP',
  'SETPCAP',
  'NET_BIND_SERVICE',
  'SYS_CHROOT',
  'KILL',
  'AUDIT_WRITE',
].map((name) => `CAP_${name}`);

const ALL = 'ALL';

/**
 * Capabilities of a container: the defaults, plus `add`, less `drop`; `ALL` in either stands for every one. Privileged
 * containers have all. Names may come with or without `CAP_`, in any case; InvalidArgumentError for unknown ones.
 */
export function capabilitiesOf(options: {
  readonly privileged: boolean;
  readonly add: readonly string[];
  readonly drop: readonly string[];
  /** The capabilities that the daemon itself may hand on, as the kernel numbers them. */
  readonly capabilityMask: bigint;
}): readonly string[] {
  const known = ALL_CAPABILITIES.filter((_name, number) => ((options.capabilityMask >> BigInt(number)) & 1n) === 1n);
  const add = options.add.map((name) => normalise(name, 'CapAdd'));
  const drop = options.drop.map((name) => normalise(name, 'CapDrop'));
  if (options.privileged) return known;
  const base = add.includes(ALL)
    ? known
    : drop.includes(ALL)
      ? []
      : DEFAULT_CAPABILITIES.filter((name) => known.includes(name));
  const dropped = new Set(drop);
  const kept = base.filter((name) => !dropped.has(name));
  const added = add.filter((name) => name !== ALL && !kept.includes(name));
  return [...kept, ...added];
}

function normalise(name: string, field: 'CapAdd' | 'CapDrop'): string {
  const upper = name.toUpperCase();
  if (upper === ALL) return ALL;
  const full = upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
  if (!ALL_CAPABILITIES.includes(full)) {
    throw new InvalidArgumentError(`invalid ${field}: unknown capability: "${full}"`);
  }
  return full;
}
