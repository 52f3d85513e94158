/** What polkit rules may look at of a container, there already or to be made. */
import type { ContainerSpec, ContainerView, NamespaceMode } from '../../engine/index.ts';

/** More labels than any rule looks at; polkit gets all details in one message. */
const MAX_LABELS = 64;
/** Longer names and values are left out: they are documents, not marks. */
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
 * host's guest: `privileged-by` says by what. What another container has may be the host's: to share it counts as well.
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
    'network-namespace': isForeign(host.network),
    'pid-namespace': isForeign(host.pidMode),
    'ipc-namespace': isForeign(host.ipcMode),
    'uts-namespace': isForeign(host.utsMode),
    'cgroup-namespace': isForeign(host.cgroupnsMode),
    bind: host.mounts.some(({ kind }) => kind === 'bind'),
    'volumes-from': host.volumesFrom.length > 0,
    device: host.devices.length > 0 || host.deviceCgroupRules.length > 0,
    capability: host.capabilitiesAdd.length > 0,
    security: host.securityOptions.some((option) => WEAKENS.test(option)),
    'kernel-paths': host.maskedPaths !== null || host.readonlyPaths !== null,
  };
  return Object.keys(isPower).filter((name) => isPower[name] === true);
}

function isForeign(namespace: NamespaceMode | ContainerSpec['host']['network'] | null): boolean {
  return namespace?.kind === 'host' || namespace?.kind === 'container';
}

function labelDetails(labels: Readonly<Record<string, string>>): Details {
  const short = Object.entries(labels).filter(
    ([name, value]) => Math.max(name.length, value.length) <= MAX_LABEL_LENGTH,
  );
  return Object.fromEntries(
    short.slice(0, MAX_LABELS).map(([name, value]) => [sendable(`label.${name}`), sendable(value)]),
  );
}

/** JSON's texts may hold what a bus refuses; nobody could be asked about such a container. */
function sendable(text: string): string {
  return text.replaceAll('\0', '\ufffd').toWellFormed();
}
