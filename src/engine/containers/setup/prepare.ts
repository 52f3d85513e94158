/** Everything a start needs before there is a process: namespaces to join, files, and the bundle. */
import { chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { InvalidArgumentError } from '../../../base/errors.ts';
import type { Undo } from '../../../base/undo.ts';
import type { SandboxState } from '../../network/types.ts';
import type { RuntimeSpec } from '../../oci/runtime-spec.ts';
import { cgroupsPathOf } from '../../runtime/cgroups.ts';
import type { OciRuntime } from '../../runtime/runtime.ts';
import { makeDirectoryBeneath } from './beneath.ts';
import type { Container } from '../container.ts';
import { makeMountPoints } from '../mounts/points.ts';
import { resolveMounts } from '../mounts/resolution.ts';
import { networkDonor, resolveNamespaces, shmPathOf } from '../namespaces.ts';
import type { Room } from '../room.ts';
import { makeScaffold } from './scaffold.ts';
import { securityWishesOf } from './security.ts';
import { scopeAnnotations } from '../scope.ts';
import { withSecrets } from '../secrets/lay-out.ts';
import { noteMountPoints } from '../secrets/mount-points.ts';
import { capabilitiesOf } from '../spec/capabilities.ts';
import { withRequestedDevices } from './devices.ts';
import { writeHosts } from './hosts.ts';
import { writeResolver } from './resolver.ts';
import { linkEnvironment, resolveLinks, type ResolvedLink } from './links.ts';
import { devicesOf } from '../spec/devices.ts';
import { checkSysctls, ownNamespacesOf } from '../spec/sysctls.ts';
import type { ResolvedMount } from '../spec/input.ts';
import { resolveBlockDevices } from '../resources/block-devices.ts';
import { limitsOf } from '../spec/resources.ts';
import { runtimeSpecOf } from '../spec/runtime-spec.ts';
import { resolveUser } from './user.ts';
import { mapMounts, rootOf, type UsernsPlan } from '../userns.ts';

/** What a start has made so far. */
export interface Preparation {
  readonly runtime: OciRuntime;
  readonly sandbox: SandboxState | null;
  readonly secrets: readonly ResolvedMount[];
  /** Null: the host's. */
  readonly userns: UsernsPlan | null;
}

/** Makes bundle and `/etc` files of a container whose root is mounted and whose network has its namespace and addresses. */
export async function prepareBundle(
  room: Room,
  container: Container,
  { runtime, sandbox, secrets, userns }: Preparation,
  undo: Undo,
): Promise<RuntimeSpec> {
  const { document, paths } = container;
  const { spec } = document;
  const { host } = spec;
  const { options } = room;
  mkdirSync(paths.bundle, { recursive: true, mode: 0o700 });
  const links = resolveLinks(room, container);
  const files = writeFiles(room, container, sandbox, links);
  if (userns !== null) giveFiles(container, userns);
  const user = resolveUser(room.files, paths.rootfs, spec.user, host.groupAdd);
  makeScaffold(room.files, paths.rootfs);
  if (spec.workingDirectory !== '') makeDirectoryBeneath(room.files, paths.rootfs, spec.workingDirectory);
  const mounts = withSecrets(room, container, await resolveMounts(room, container, userns?.mapping ?? null), secrets);
  // A step's layer shows none of what it was mounted on.
  noteMountPoints(room, container, { secrets: document.isStep === true ? mounts : secrets, mounts });
  makeMountPoints(room.files, paths.rootfs, mounts);
  const mapped = userns === null ? mounts : mapMounts(room, container, { mapping: userns.mapping, mounts }, undo);
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
  const wishes = securityWishesOf(host.securityOptions);
  const namespaces = resolveNamespaces(room, container, { sandbox, userns });
  checkSysctls(host.sysctls, ownNamespacesOf(namespaces));
  const translated = runtimeSpecOf({
    containerId: container.id,
    spec: container.step === null ? spec : { ...spec, env: withStepEnv(spec.env, container.step.env) },
    args: [document.path, ...document.args],
    hostname: spec.hostname,
    rootfsPath: paths.rootfs,
    user,
    mounts: mapped,
    namespaces,
    cgroupsPath: cgroupsPathOf(container.id, {
      driver: options.cgroup.driver,
      parent: host.cgroupParent === '' ? options.cgroup.parent : host.cgroupParent,
    }),
    cgroupVersion: options.cgroup.version,
    ...files,
    shmPath: shmPathOf(room, container),
    noIpc: document.ipcMode.kind === 'none',
    shmSizeBytes: host.shmSizeBytes ?? options.defaultShmSizeBytes,
    seccomp,
    annotations: { ...annotations, ...unitAnnotations(room, container) },
    apparmorProfile: await room.apparmor.profileFor({ privileged: host.privileged, named: wishes.apparmorProfile }),
    defaultUlimits: options.defaultUlimits,
    capabilityMask: options.capabilityMask,
    noNewPrivileges: wishes.noNewPrivileges ?? options.noNewPrivilegesByDefault,
    writableCgroups: wishes.writableCgroups ?? host.privileged,
    devices: await devicesOf(host.privileged, host.devices),
    linkEnvironment: linkEnvironment(links),
    blockDevices: await resolveBlockDevices(host.resources),
    initPath: (host.init ?? options.initByDefault) ? initPathOf(options.initPath) : null,
  });
  const made = await withRequestedDevices(translated, host.deviceRequests ?? [], room.cdi);
  writeFileSync(paths.config, JSON.stringify(made), { mode: 0o600 });
  return made;
}

/** Properties of the container's scope, where systemd keeps it; the user's own word on one wins. */
function unitAnnotations(room: Room, { name, document }: Container): Readonly<Record<string, string>> {
  if (room.options.cgroup.driver !== 'systemd') return {};
  const { resources, annotations } = document.spec.host;
  return { ...scopeAnnotations(name, limitsOf(resources)), ...annotations };
}

/** The step's lines take the place of those of the same name. */
function withStepEnv(env: readonly string[], own: readonly string[]): readonly string[] {
  const names = new Set(own.map((line) => line.split('=', 1)[0]));
  return [...env.filter((line) => !names.has(line.split('=', 1)[0])), ...own];
}

function initPathOf(path: string | null): string {
  if (path === null) {
    throw new InvalidArgumentError(
      'exec: "docker-init": executable file not found in $PATH: install tini or catatonit',
    );
  }
  return path;
}

/** Its own three files belong to the container's root, who may change them. */
function giveFiles({ paths, document }: Container, { mapping }: UsernsPlan): void {
  if (document.spec.host.network.kind === 'container') return;
  const { uid, gid } = rootOf(mapping);
  for (const path of [paths.hostname, paths.hosts, paths.resolvConf]) chownSync(path, uid, gid);
}

interface FilePaths {
  readonly hostnamePath: string;
  readonly hostsPath: string;
  readonly resolvConfPath: string;
}

/** /etc/hostname, hosts and resolv.conf; a container in another's network shares that one's. */
function writeFiles(
  room: Room,
  container: Container,
  sandbox: SandboxState | null,
  links: readonly ResolvedLink[],
): FilePaths {
  const { spec } = container.document;
  const { host } = spec;
  const { paths } = container;
  if (host.network.kind === 'container') {
    const donor = networkDonor(room, host.network.ref, container).container;
    container.update({ filesOf: donor.id });
    return { hostnamePath: donor.paths.hostname, hostsPath: donor.paths.hosts, resolvConfPath: donor.paths.resolvConf };
  }
  const endpoints = sandbox?.endpoints ?? [];
  writeFileSync(paths.hostname, `${spec.hostname}\n`, { mode: 0o644 });
  writeHosts(room, container, { endpoints, links });
  writeResolver(room, container, sandbox);
  return { hostnamePath: paths.hostname, hostsPath: paths.hosts, resolvConfPath: paths.resolvConf };
}
