/** Everything a start needs before there is a process: namespaces to join, files, and the bundle. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { ConflictError, InvalidArgumentError } from '../../base/errors.ts';
import type { SandboxState } from '../network/types.ts';
import type { RuntimeSpec } from '../oci/runtime-spec.ts';
import { cgroupsPathOf } from '../runtime/cgroups.ts';
import type { OciRuntime } from '../runtime/runtime.ts';
import { makeDirectoryBeneath, makeFileBeneath } from './beneath.ts';
import type { Container } from './container.ts';
import { nonShareableIpc } from './create.ts';
import { hostsText, hostsTextOfHost, namesOnlyResolvedStub, parseExtraHost, resolvConfText } from './files.ts';
import { resolveMounts } from './mount-resolution.ts';
import type { Room } from './room.ts';
import { scopeAnnotations } from './scope.ts';
import { capabilitiesOf } from './spec/capabilities.ts';
import { hostDevices, resolveDevices } from './spec/devices.ts';
import type { NamespaceChoice, ResolvedNamespaces } from './spec/input.ts';
import { limitsOf } from './spec/resources.ts';
import { runtimeSpecOf } from './spec/runtime-spec.ts';
import type { NamespaceMode } from './spec-types.ts';
import { isLive } from './state.ts';
import { resolveUser } from './user.ts';

const HOST_RESOLV_CONF = '/etc/resolv.conf';
/** Where systemd-resolved names the real servers when /etc/resolv.conf names only its own stub. */
const RESOLVED_RESOLV_CONF = '/run/systemd/resolve/resolv.conf';
const HOST_SHM = '/dev/shm';
/** By this file programs know that they are in a container of Docker's kind. */
const MARK = '.dockerenv';

/** Makes bundle and `/etc` files of a container whose root is mounted and whose network is set up. */
export async function prepareBundle(
  room: Room,
  container: Container,
  runtime: OciRuntime,
  sandbox: SandboxState | null,
): Promise<RuntimeSpec> {
  const { document, paths } = container;
  const { spec } = document;
  const { host } = spec;
  const { options } = room;
  mkdirSync(paths.bundle, { recursive: true, mode: 0o700 });
  const files = writeFiles(room, container, sandbox);
  const user = resolveUser(room.files, paths.rootfs, spec.user, host.groupAdd);
  makeFileBeneath(room.files, paths.rootfs, MARK);
  if (spec.workingDirectory !== '') makeDirectoryBeneath(room.files, paths.rootfs, spec.workingDirectory);
  const capabilities = capabilitiesOf({
    privileged: host.privileged,
    add: host.capabilitiesAdd,
    drop: host.capabilitiesDrop,
    capabilityMask: options.capabilityMask,
  });
  const { seccomp, annotations } = room.seccomp.seccompFor({
    privileged: host.privileged,
    capabilities,
    securityOptions: host.securityOptions,
    runtime,
  });
  const made = runtimeSpecOf({
    containerId: container.id,
    spec,
    args: [document.path, ...document.args],
    hostname: spec.hostname,
    rootfsPath: paths.rootfs,
    user,
    mounts: await resolveMounts(room, container),
    namespaces: namespacesOf(room, container, sandbox),
    cgroupsPath: cgroupsPathOf(container.id, {
      driver: options.cgroup.driver,
      parent: host.cgroupParent === '' ? options.cgroup.parent : host.cgroupParent,
    }),
    cgroupVersion: options.cgroup.version,
    ...files,
    shmPath: shmPathOf(room, container),
    shmSizeBytes: host.shmSizeBytes ?? options.defaultShmSizeBytes,
    seccomp,
    annotations: { ...annotations, ...unitAnnotations(room, container) },
    apparmorProfile: options.apparmorProfile,
    defaultUlimits: options.defaultUlimits,
    capabilityMask: options.capabilityMask,
    noNewPrivileges: noNewPrivilegesOf(host.securityOptions) ?? options.noNewPrivilegesByDefault,
    devices: [...(host.privileged ? await hostDevices() : []), ...(await resolveDevices(host.devices))],
    initPath: (host.init ?? options.initByDefault) ? initPathOf(options.initPath) : null,
  });
  writeFileSync(paths.config, JSON.stringify(made), { mode: 0o600 });
  return made;
}

/** `--security-opt no-new-privileges[=true|:false]`; null: not said. The last one counts. */
function noNewPrivilegesOf(securityOptions: readonly string[]): boolean | null {
  const said = securityOptions.findLast((option) => option.startsWith('no-new-privileges'));
  return said === undefined ? null : /^no-new-privileges([:=](1|t|true))?$/i.test(said);
}

/** Properties of the container's scope, where systemd keeps it; the user's own word on one wins. */
function unitAnnotations(room: Room, { name, document }: Container): Readonly<Record<string, string>> {
  if (room.options.cgroup.driver !== 'systemd') return {};
  const { resources, annotations } = document.spec.host;
  return { ...scopeAnnotations(name, limitsOf(resources)), ...annotations };
}

/** True when the container lends its shared memory: it must then lie on a mount that others can reach. */
export function lendsShm(container: Container): boolean {
  return container.document.ipcMode.kind === 'shareable';
}

function initPathOf(path: string | null): string {
  if (path === null) {
    throw new InvalidArgumentError(
      'exec: "docker-init": executable file not found in $PATH: install tini or catatonit',
    );
  }
  return path;
}

function namespacesOf(room: Room, container: Container, sandbox: SandboxState | null): ResolvedNamespaces {
  const { spec, ipcMode, cgroupnsMode } = container.document;
  const { host } = spec;
  return {
    network: networkOf(room, container, sandbox),
    ipc: joined(room, ipcMode, 'ipc'),
    pid: joined(room, host.pidMode, 'pid'),
    uts: joined(room, host.utsMode, 'uts'),
    cgroup: cgroupnsMode.kind === 'host' ? 'host' : null,
  };
}

function networkOf(room: Room, container: Container, sandbox: SandboxState | null): NamespaceChoice {
  const { network } = container.document.spec.host;
  if (network.kind === 'host') return 'host';
  if (network.kind !== 'container') {
    const path = sandbox?.netnsPath ?? null;
    return path === null ? null : { path };
  }
  const donor = liveDonor(room, network.ref, 'network');
  return donor.container.document.spec.host.network.kind === 'host'
    ? 'host'
    : { path: `/proc/${String(donor.pid)}/ns/net` };
}

function joined(room: Room, mode: NamespaceMode, type: 'ipc' | 'pid' | 'uts'): NamespaceChoice {
  switch (mode.kind) {
    case 'host':
      return 'host';
    case 'container':
      return { path: `/proc/${String(liveDonor(room, mode.ref, type).pid)}/ns/${type}` };
    case 'private':
    case 'shareable':
    case 'none':
      return null;
  }
}

function shmPathOf(room: Room, container: Container): string | null {
  const { ipcMode } = container.document;
  switch (ipcMode.kind) {
    case 'host':
      return HOST_SHM;
    case 'shareable':
      return container.paths.shm;
    case 'container': {
      const donor = liveDonor(room, ipcMode.ref, 'ipc');
      if (!lendsShm(donor.container)) throw nonShareableIpc(ipcMode.ref);
      return donor.container.paths.shm;
    }
    case 'private':
    case 'none':
      return null;
  }
}

/** A container whose namespace is to be joined. ConflictError in Docker's words when it does not run. */
function liveDonor(room: Room, ref: string, what: string): { readonly container: Container; readonly pid: number } {
  const container = room.registry.resolve(ref);
  const { state } = container;
  if (!isLive(state)) {
    throw new ConflictError(
      what === 'network'
        ? `cannot join network namespace of a non running container: ${container.id}`
        : `cannot join ${what.toUpperCase()} namespace of a non running container: container ${container.id} is ${state.status}`,
    );
  }
  return { container, pid: state.pid };
}

interface FilePaths {
  readonly hostnamePath: string;
  readonly hostsPath: string;
  readonly resolvConfPath: string;
}

/** /etc/hostname, hosts and resolv.conf; a container in another's network shares that one's. */
function writeFiles(room: Room, container: Container, sandbox: SandboxState | null): FilePaths {
  const { spec } = container.document;
  const { host } = spec;
  const { options } = room;
  const { paths } = container;
  if (host.network.kind === 'container') {
    const donor = liveDonor(room, host.network.ref, 'network').container;
    container.update({ filesOf: donor.id });
    return { hostnamePath: donor.paths.hostname, hostsPath: donor.paths.hosts, resolvConfPath: donor.paths.resolvConf };
  }
  const ownNetwork = host.network.kind !== 'host';
  const endpoints = sandbox?.endpoints ?? [];
  const gateway = options.hostGatewayAddress ?? endpoints[0]?.ipv4Gateway ?? null;
  const extraHosts = host.extraHosts.map((text) => {
    const parsed = parseExtraHost(text, gateway);
    if (parsed === null) throw new InvalidArgumentError(`unable to derive the IP value for host-gateway: ${text}`);
    return parsed;
  });
  const addresses = endpoints.flatMap(({ ipv4Address, ipv6Address }) =>
    [ipv4Address, ipv6Address].filter((one) => one !== null),
  );
  writeFileSync(paths.hostname, `${spec.hostname}\n`, { mode: 0o644 });
  writeFileSync(
    paths.hosts,
    ownNetwork
      ? hostsText({ extraHosts, addresses, hostname: spec.hostname, domainname: spec.domainname })
      : hostsTextOfHost(readText('/etc/hosts'), extraHosts),
    { mode: 0o644 },
  );
  const wishes = {
    servers: host.dns.length > 0 ? host.dns : options.dns,
    search: host.dnsSearch.length > 0 ? host.dnsSearch : options.dnsSearch,
    options: host.dnsOptions.length > 0 ? host.dnsOptions : options.dnsOptions,
  };
  const ipv6 = endpoints.some(({ ipv6Address }) => ipv6Address !== null);
  writeFileSync(paths.resolvConf, resolvConfText(hostResolvConf(), wishes, { ipv6, own: ownNetwork }), { mode: 0o644 });
  return { hostnamePath: paths.hostname, hostsPath: paths.hosts, resolvConfPath: paths.resolvConf };
}

function hostResolvConf(): string {
  const text = readText(HOST_RESOLV_CONF);
  if (!namesOnlyResolvedStub(text)) return text;
  const real = readText(RESOLVED_RESOLV_CONF);
  return real === '' ? text : real;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
