import { mkdirSync, rmSync } from 'node:fs';
import { ConflictError, InvalidArgumentError, NotFoundError } from '../../base/errors.ts';
import { newId, shortId, type ContainerId } from '../../base/ids.ts';
import { Undo } from '../../base/undo.ts';
import type { ImageView } from '../images/types.ts';
import type { SandboxRequest } from '../network/types.ts';
import type { Platform } from '../oci/image-spec.ts';
import { withinHostLimits } from './host-limits.ts';
import { hasHealthcheck, withImageDefaults } from './image-defaults.ts';
import { logWarnings } from './logs.ts';
import { planMounts } from './mounts.ts';
import { inventName, parseName } from './names.ts';
import {
  encodeDocument,
  encodeState,
  type ContainerDocument,
  type PlannedMount,
  type StateDocument,
} from './record.ts';
import { actorOf, logDriverNamed, publish, runtimeNamed, type Room } from './room.ts';
import type { ContainerSpec, FrontDocument } from './spec-types.ts';
import { validateSpec } from './validation.ts';

/** What the door's `create` takes. */
export interface CreateRequest {
  readonly name: string | null;
  readonly spec: ContainerSpec;
  readonly frontDocument: FrontDocument | null;
}

const CREATING: StateDocument = {
  phase: 'creating',
  state: { status: 'created', error: '', exitCode: 0 },
  desired: 'stopped',
  sandbox: null,
  hasStarted: false,
  filesOf: null,
};

/**
 * Validates everything, then writes a `creating` row, then makes snapshot, directory and volumes, then declares the row
 * settled: whatever a killed daemon leaves is known by its row. Nothing is left behind on failure.
 */
export async function create(
  room: Room,
  request: CreateRequest,
): Promise<{ readonly id: ContainerId; readonly warnings: readonly string[] }> {
  const given = request.name === null ? null : parseName(request.name);
  const image = room.images.get(request.spec.image);
  checkPlatform(request.spec, image);
  const id = newId<ContainerId>();
  const { document, warnings } = decide(room, request, image, id);
  const name = given ?? inventName((candidate) => room.registry.hasName(candidate));
  const container = await Undo.guard(async (undo) => {
    room.registry.reserveName(name, id);
    undo.defer(() => room.registry.releaseName(name));
    const row = { id, name, createdAt: room.clock.now() };
    const container = actorOf(room, { ...row, document, live: CREATING });
    room.rows.insert({ ...row, imageId: image.id, doc: encodeDocument(document), state: encodeState(CREATING) });
    undo.defer(() => room.rows.delete(id));
    mkdirSync(container.paths.rootfs, { recursive: true, mode: 0o710 });
    undo.defer(() => rmSync(container.paths.directory, { recursive: true, force: true }));
    await room.storage.prepare(id, image.chainId);
    undo.defer(() => room.storage.remove(id));
    const mounts = await makeVolumes(room, document.mounts, undo);
    const settled = actorOf(room, { ...row, document: { ...document, mounts }, live: CREATING });
    room.db.transaction(() => {
      room.rows.setDocument(id, encodeDocument(settled.document));
      settled.update({ phase: 'settled' });
      room.volumes.hold(id, volumeNamesOf(mounts));
    });
    return settled;
  });
  room.registry.add(container);
  publish(room, container, 'create');
  return { id, warnings };
}

/** Names of the volumes among mounts. */
export function volumeNamesOf(mounts: readonly PlannedMount[]): readonly string[] {
  return [...new Set(mounts.flatMap(({ name }) => (name === null ? [] : [name])))];
}

/** The network room's request, as far as it does not depend on a live container. */
export function sandboxRequestOf(spec: ContainerSpec): Omit<SandboxRequest, 'containerId'> {
  const { host } = spec;
  const bound = new Set(host.portBindings.map(({ container }) => `${String(container.port)}/${container.protocol}`));
  const isFree = (port: { port: number; protocol: string }): boolean =>
    !bound.has(`${String(port.port)}/${port.protocol}`);
  return {
    mode: spec.networkDisabled ? { kind: 'none' } : host.network,
    endpoints: host.endpoints,
    portBindings: host.portBindings,
    publishAll: host.publishAllPorts ? spec.exposedPorts.filter(isFree) : [],
    macAddress: spec.macAddress,
    // The runtime sets them inside, with every other sysctl.
    sysctls: {},
  };
}

function decide(
  room: Room,
  { spec: asked, frontDocument }: CreateRequest,
  image: ImageView,
  id: ContainerId,
): { readonly document: ContainerDocument; readonly warnings: readonly string[] } {
  const { options } = room;
  const { spec: merged, argv } = withImageDefaults(asked, image.config.config ?? {});
  // In dockerd's order: what the host cannot enforce anyhow is not looked at for sense.
  const limited = withinHostLimits(merged.host.resources, options.limits);
  const enforceable = { ...merged, host: { ...merged.host, resources: limited.resources } };
  validateSpec(enforceable, options);
  checkSharedNamespaces(room, enforceable);
  const spec = completed(room, enforceable, id);
  const { host } = spec;
  const runtime = runtimeNamed(room, host.runtime ?? options.defaultRuntime);
  const logDriver = host.logDriver ?? options.defaultLogDriver;
  logDriverNamed(room, logDriver).validate(host.logOptions);
  room.networks.validate(sandboxRequestOf(spec));
  const [path, ...args] = argv;
  return {
    document: {
      spec,
      frontDocument,
      imageId: image.id,
      path,
      args,
      mounts: planMounts(spec, (ref) => room.registry.resolve(ref).document.mounts),
      runtime: runtime.name,
      logDriver,
      logOptions: host.logOptions,
      storageDriver: room.storage.name,
      ipcMode: host.ipcMode ?? { kind: options.defaultIpcMode },
      cgroupnsMode: host.cgroupnsMode ?? {
        kind: host.privileged && options.cgroup.version === '1' ? 'host' : options.defaultCgroupnsMode,
      },
    },
    warnings: [...limited.warnings, ...warningsOf(room, spec, image), ...logWarnings(room, logDriver, host.logOptions)],
  };
}

/** Fills in what the daemon decides: host name, log driver, runtime, shared memory. */
function completed(room: Room, spec: ContainerSpec, id: ContainerId): ContainerSpec {
  const { options } = room;
  const { host } = spec;
  const logDriver = host.logDriver ?? options.defaultLogDriver;
  // The daemon's options belong to the daemon's driver; another driver does not know them.
  const logDefaults = logDriver === options.defaultLogDriver ? options.defaultLogOptions : {};
  return {
    ...spec,
    hostname: spec.hostname === '' ? defaultHostname(room, spec, id) : spec.hostname,
    host: {
      ...host,
      logDriver,
      logOptions: { ...logDefaults, ...host.logOptions },
      runtime: host.runtime ?? options.defaultRuntime,
      shmSizeBytes:
        host.shmSizeBytes === null || host.shmSizeBytes === 0 ? options.defaultShmSizeBytes : host.shmSizeBytes,
    },
  };
}

function defaultHostname(room: Room, spec: ContainerSpec, id: ContainerId): string {
  if (spec.host.network.kind === 'host' || spec.host.utsMode.kind === 'host') return room.options.hostname;
  if (spec.host.network.kind !== 'container') return shortId(id);
  return room.registry.resolve(spec.host.network.ref).document.spec.hostname;
}

/** Containers whose namespaces are to be joined must exist; that they run is checked at start. */
function checkSharedNamespaces(room: Room, { host }: ContainerSpec): void {
  for (const mode of [host.network, host.pidMode, host.ipcMode]) {
    // No 404: the CLI would take it for a missing image and pull.
    if (mode !== null && mode.kind === 'container' && room.registry.find(mode.ref) === null) {
      throw new InvalidArgumentError(`No such container: ${mode.ref}`);
    }
  }
  if (host.ipcMode?.kind === 'container') {
    const donor = room.registry.resolve(host.ipcMode.ref);
    if (donor.document.ipcMode.kind !== 'shareable') throw nonShareableIpc(host.ipcMode.ref);
  }
}

/** ConflictError in Docker's words. */
export function nonShareableIpc(ref: string): ConflictError {
  return new ConflictError(
    `cannot join IPC of container ${ref}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)`,
  );
}

function warningsOf(room: Room, spec: ContainerSpec, image: ImageView): readonly string[] {
  const warnings: string[] = [];
  const { config } = image;
  const { hostPlatform, limits } = room.options;
  if (spec.platform === null && !runsOn(config, hostPlatform)) {
    warnings.push(
      `The requested image's platform (${platformText(config)}) does not match the detected host platform ` +
        `(${platformText(hostPlatform)}) and no specific platform was requested`,
    );
  }
  if (!limits.ipv4Forwarding && spec.host.network.kind === 'network') {
    warnings.push('IPv4 forwarding is disabled. Networking will not work.');
  }
  if (spec.host.network.kind === 'host' && spec.host.portBindings.length > 0) {
    warnings.push('Published ports are discarded when using host network mode');
  }
  if (hasHealthcheck(spec.healthcheck))
    warnings.push('Health checks are not run by this engine yet: the check was kept, but has no effect.');
  return warnings;
}

function checkPlatform(spec: ContainerSpec, image: ImageView): void {
  if (spec.platform === null || runsOn(image.config, spec.platform)) return;
  throw new NotFoundError(
    `image with reference ${spec.image} was found but does not match the specified platform: ` +
      `wanted ${platformText(spec.platform)}, actual: ${platformText(image.config)}`,
  );
}

function runsOn(image: Platform, host: Platform): boolean {
  const sameVariant = image.variant === undefined || host.variant === undefined || image.variant === host.variant;
  return image.os === host.os && image.architecture === host.architecture && sameVariant;
}

function platformText({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant === undefined || variant === '' ? [] : [variant])].join('/');
}

/** Makes the volumes that are not there yet; the mounts come back with the volumes' host paths. */
async function makeVolumes(room: Room, mounts: readonly PlannedMount[], undo: Undo): Promise<readonly PlannedMount[]> {
  const existing = new Set(room.volumes.list().map(({ name }) => name));
  const made: PlannedMount[] = [];
  for (const mount of mounts) {
    made.push(mount.kind === 'volume' ? await makeVolume(room, mount, existing, undo) : mount);
  }
  return made;
}

async function makeVolume(room: Room, mount: PlannedMount, existing: Set<string>, undo: Undo): Promise<PlannedMount> {
  const volume = await room.volumes.create({
    name: mount.name,
    driver: mount.driver,
    labels: mount.volumeLabels,
    options: mount.volumeOptions,
    anonymous: mount.anonymous,
  });
  if (!existing.has(volume.name)) {
    existing.add(volume.name);
    undo.defer(() => room.volumes.remove(volume.name, { force: true }));
  }
  return { ...mount, name: volume.name, driver: volume.driver, source: volume.mountPoint };
}
