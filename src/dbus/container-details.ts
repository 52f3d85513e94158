/** What polkit rules may look at of a container, there already or to be made. */
import type { ContainerSpec, ContainerView } from '../engine/index.ts';

/** More labels than any rule looks at; polkit gets all details in one message. */
const MAX_LABELS = 64;
/** Longer values are left out: they are documents, not marks. */
const MAX_LABEL_LENGTH = 256;

/** Security options that take confinement away: whatever is not the engine's own profile. */
const WEAKENS = /unconfined|disable|^seccomp[=:](?!builtin$)/;

type Details = Readonly<Record<string, string>>;

/** `container`, `id`, `image`, `tty`, `privileged` and `label.NAME` of a container that exists. */
export function detailsOfContainer({ id, name, spec }: ContainerView): Details {
  return { container: name, id, ...detailsOfSpec(spec) };
}

/**
 * `image`, `tty`, `privileged` and `label.NAME`. `privileged` is `true` for whatever makes a container more than its
 * host's guest: `privileged-by` says by what.
 */
export function detailsOfSpec(spec: ContainerSpec): Details {
  const powers = powersOf(spec);
  return {
    ...labelDetails(spec.labels),
    image: spec.image,
    tty: String(spec.terminal),
    privileged: String(powers.length > 0),
    ...(powers.length === 0 ? {} : { 'privileged-by': powers.join(',') }),
  };
}

function powersOf({ host }: ContainerSpec): readonly string[] {
  const isPower: Readonly<Record<string, boolean>> = {
    privileged: host.privileged,
    'network-namespace': host.network.kind === 'host',
    'pid-namespace': host.pidMode.kind === 'host',
    'ipc-namespace': host.ipcMode?.kind === 'host',
    'uts-namespace': host.utsMode.kind === 'host',
    'cgroup-namespace': host.cgroupnsMode?.kind === 'host',
    bind: host.mounts.some(({ kind }) => kind === 'bind'),
    device: host.devices.length > 0 || host.deviceCgroupRules.length > 0,
    capability: host.capabilitiesAdd.length > 0,
    security: host.securityOptions.some((option) => WEAKENS.test(option)),
  };
  return Object.keys(isPower).filter((name) => isPower[name] === true);
}

function labelDetails(labels: Readonly<Record<string, string>>): Details {
  const short = Object.entries(labels).filter(([, value]) => value.length <= MAX_LABEL_LENGTH);
  return Object.fromEntries(short.slice(0, MAX_LABELS).map(([name, value]) => [`label.${name}`, value]));
}
