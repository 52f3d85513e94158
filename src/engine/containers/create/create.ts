import { mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { InvalidArgumentError } from '../../../base/errors.ts';
import { newId, shortId, type ContainerId } from '../../../base/ids.ts';
import { Undo } from '../../../base/undo.ts';
import type { ImageView } from '../../images/types.ts';
import { rateLimitsOf } from '../../network/rate-limits.ts';
import type { ImageRunConfig } from '../../oci/image-spec.ts';
import { fits, platformText } from '../../oci/platform.ts';
import { withImageDefaults } from './image-defaults.ts';
import { validateUnhealthyLabels } from '../health/action.ts';
import { registeredLinks } from '../setup/links.ts';
import { logWarnings } from '../streams/logs.ts';
import { planMounts } from '../mounts/plan.ts';
import { fillVolumes } from '../mounts/fill.ts';
import { releaseSnapshots } from '../mounts/snapshots.ts';
import { inventName, parseName } from './names.ts';
import { byDonorId, checkDonorsExist } from '../namespaces.ts';
import { byName } from '../membership.ts';
import { findNetwork, joined, sandboxRequestOf, wishProblem } from '../networks.ts';
import {
  encodeDocument,
  encodeState,
  type ContainerDocument,
  type PlannedMount,
  type StateDocument,
} from '../record.ts';
import { checkResources } from '../resources/rules.ts';
import { actorOf, logDriverNamed, publish, runtimeNamed, type Room } from '../room.ts';
import { secretsOf } from '../secrets/of-create.ts';
import { snapshotOptionsOf } from './storage-options.ts';
import type { ContainerSpec, FrontDocument, HostOptions, Resources } from '../spec-types.ts';
import type { StepParts } from '../steps.ts';
import { chooseUserns, joinsAnother, leaseIds } from '../userns.ts';
import { validateSpec } from '../validation.ts';

/** What the door's `create` takes. */
export interface CreateRequest {
  readonly name: string | null;
  readonly spec: ContainerSpec;
  readonly frontDocument: FrontDocument | null;
  /** Present: it is a build's, and its spec is complete; see steps.ts. */
  readonly step?: StepParts;
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
  // As dockerd: options are looked at before the image, its name after it.
  const checked = verified(room, request.spec);
  const image = room.images.get(request.spec.image, request.spec.platform);
  const id = newId<ContainerId>();
  const snapshotOptions = snapshotOptionsOf(room.storage.name, checked.spec.host.storageOptions ?? {});
  const given = request.name === null ? null : parseName(request.name);
  const userns = chooseUserns(checked.spec, room.options.userns, { isStep: request.step !== undefined });
  const { document: decided, warnings } = decide(room, { ...request, spec: checked.spec }, image, id);
  const document = { ...decided, userns: userns.kind };
  const name = given ?? inventName((candidate) => room.registry.hasName(candidate));
  await room.images.provide(image.id);
  const container = await Undo.guard(async (undo) => {
    room.registry.reserveName(name, id);
    undo.defer(() => room.registry.releaseName(name));
    const row = { id, name, createdAt: room.clock.now() };
    const planned = actorOf(room, { ...row, document, live: CREATING });
    room.rows.insert({ ...row, imageId: image.id, doc: encodeDocument(document), state: encodeState(CREATING) });
    undo.defer(() => room.rows.delete(id));
    if (userns.kind === 'auto' && !joinsAnother(document.spec.host)) {
      leaseIds(room, { containerId: id, size: userns.size });
    }
    mkdirSync(planned.paths.rootfs, { recursive: true, mode: 0o710 });
    undo.defer(() => rmSync(planned.paths.directory, { recursive: true, force: true }));
    const prepared = await room.storage.prepare(id, image.chainId, snapshotOptions);
    undo.defer(() => room.storage.remove(id));
    const mounts = await makeVolumes(room, { id, document }, undo);
    const isAsPlanned = mounts === document.mounts;
    const settled = isAsPlanned
      ? planned
      : actorOf(room, { ...row, document: { ...document, mounts }, live: CREATING });
    settled.step = request.step ?? null;
    await settled.holds.take(id, async () => Promise.resolve(prepared));
    const volumes = volumeNamesOf(mounts);
    if (volumes.length > 0) {
      // Nobody removes them while they are being filled.
      room.volumes.hold(id, volumes);
      undo.defer(() => room.volumes.release(id));
      await fillVolumes(room, settled, undo);
    }
    await releaseSnapshots(room, settled);
    room.db.transaction(() => {
      if (!isAsPlanned) room.rows.setDocument(id, encodeDocument(settled.document));
      settled.update({ phase: 'settled' });
    });
    return settled;
  });
  room.registry.add(container);
  publish(room, container, 'create');
  return { id, warnings: [...checked.warnings, ...warnings] };
}

/** Names of the volumes among mounts. */
export function volumeNamesOf(mounts: readonly PlannedMount[]): readonly string[] {
  return [...new Set(mounts.flatMap(({ kind, name }) => (kind !== 'volume' || name === null ? [] : [name])))];
}

/** What can be said of the options alone; limits that the host cannot enforce are taken out. */
function verified(
  { options }: Room,
  spec: ContainerSpec,
): { readonly spec: ContainerSpec; readonly warnings: readonly string[] } {
  validateSpec(spec, options);
  const { resources, warnings } = checkResources(spec.host.resources, options, { update: false });
  const { host } = spec;
  return {
    spec: {
      ...spec,
      host: {
        ...host,
        resources: withSwap(resources),
        securityOptions: withLabels(host),
      },
    },
    warnings,
  };
}

/** Docker's rule: SELinux does not confine what shares the host's processes, unless the user says how. */
function withLabels({ securityOptions, privileged, ipcMode, pidMode }: HostOptions): readonly string[] {
  const isShared = privileged || ipcMode?.kind === 'host' || pidMode.kind === 'host';
  const hasLabels = securityOptions.some((option) => option.split('=', 1)[0] === 'label');
  return isShared && !hasLabels ? [...securityOptions, 'label=disable'] : securityOptions;
}

/** Docker's rule: memory without a word on swap allows as much swap again. */
function withSwap(resources: Resources): Resources {
  const { memoryBytes, memorySwapBytes } = resources;
  return memoryBytes > 0 && memorySwapBytes === 0 ? { ...resources, memorySwapBytes: memoryBytes * 2 } : resources;
}

function decide(
  room: Room,
  { spec: asked, frontDocument, step }: CreateRequest,
  image: ImageView,
  id: ContainerId,
): { readonly document: ContainerDocument; readonly warnings: readonly string[] } {
  const { options } = room;
  checkWishes(room, asked.host);
  const { spec: merged, argv } = withImageDefaults(asked, imageDefaults(image, step));
  validateUnhealthyLabels(merged.labels);
  checkDonorsExist(room, merged.host);
  const spec = completed(room, merged, id);
  const { host } = spec;
  const runtime = runtimeNamed(room, host.runtime ?? options.defaultRuntime);
  const logDriver = host.logDriver ?? options.defaultLogDriver;
  logDriverNamed(room, logDriver).validate(host.logOptions);
  room.networks.validate(sandboxRequestOf(spec, options));
  const mounts = planMounts(spec, {
    mountsOfContainer: (ref) => room.registry.resolve(ref).document.mounts,
    imageIdOf: (ref) => room.images.get(ref).id,
    ownDirectory: dirname(options.containersRoot),
  });
  const secrets = secretsOf(room, asked, mounts);
  const [path, ...args] = argv;
  return {
    document: {
      spec,
      frontDocument,
      imageId: image.id,
      path,
      args,
      mounts,
      ...(secrets.length === 0 ? {} : { secrets }),
      ...(step === undefined ? {} : { isStep: true as const }),
      runtime: runtime.name,
      logDriver,
      logOptions: host.logOptions,
      storageDriver: room.storage.name,
      ipcMode: host.ipcMode ?? { kind: options.defaultIpcMode },
      cgroupnsMode: host.cgroupnsMode ?? {
        kind: host.privileged && options.cgroup.version === '1' ? 'host' : options.defaultCgroupnsMode,
      },
    },
    warnings: [...warningsOf(room, spec, image), ...logWarnings(room, logDriver, host.logOptions)],
  };
}

/** Of the image of a step only the labels: what asks for secrets by label must not be the image. */
function imageDefaults({ config: { config } }: ImageView, step: StepParts | undefined): ImageRunConfig {
  return step === undefined ? (config ?? {}) : { Labels: config?.Labels ?? {} };
}

/** InvalidArgumentError in Docker's words; a network that is not there yet is no problem before the start. */
function checkWishes(room: Room, { endpoints }: HostOptions): void {
  const problems = Object.entries(endpoints).flatMap(([ref, wish]) => {
    const problem = wishProblem(ref, findNetwork(room, ref), wish);
    return problem === null ? [] : [`invalid config for network ${ref}: ${problem}`];
  });
  if (problems.length > 0) throw new InvalidArgumentError(joined(problems));
}

/** Fills in what the daemon decides: host name, log driver, runtime, shared memory. */
function completed(room: Room, spec: ContainerSpec, id: ContainerId): ContainerSpec {
  const { options } = room;
  const host = byDonorId(
    room,
    byName(spec.host, (ref) => findNetwork(room, ref)?.name ?? ref),
  );
  const logDriver = host.logDriver ?? options.defaultLogDriver;
  // The daemon's options belong to the daemon's driver; another driver does not know them.
  const logDefaults = logDriver === options.defaultLogDriver ? options.defaultLogOptions : {};
  return {
    ...spec,
    hostname: spec.hostname === '' ? defaultHostname(room, spec, id) : spec.hostname,
    domainname: joinedNetworkOwner(room, spec)?.domainname ?? spec.domainname,
    host: {
      ...host,
      links: registeredLinks(room, spec),
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
  return joinedNetworkOwner(room, spec)?.hostname ?? shortId(id);
}

/** The container with whose network this one is to have its names, too. */
function joinedNetworkOwner(room: Room, { host: { network } }: ContainerSpec): ContainerSpec | null {
  if (network.kind !== 'container') return null;
  return room.registry.find(network.ref)?.document.spec ?? null;
}

function warningsOf(room: Room, spec: ContainerSpec, image: ImageView): readonly string[] {
  const warnings: string[] = [];
  const { config } = image;
  const { hostPlatform, limits } = room.options;
  if (spec.platform === null && !fits(config, hostPlatform)) {
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
  const { egress, ingress } = rateLimitsOf(spec.labels);
  if (spec.host.network.kind === 'host' && (egress !== null || ingress !== null)) {
    warnings.push('Bandwidth limits are discarded when using host network mode');
  }
  return warnings;
}

/** Makes the volumes that are not there yet; the mounts come back with the volumes' host paths. */
async function makeVolumes(
  room: Room,
  { id, document: { mounts } }: { readonly id: ContainerId; readonly document: ContainerDocument },
  undo: Undo,
): Promise<readonly PlannedMount[]> {
  if (mounts.every(({ kind }) => kind !== 'volume')) return mounts;
  const existing = new Set(room.volumes.list().map(({ name }) => name));
  const made: PlannedMount[] = [];
  for (const mount of mounts) {
    made.push(mount.kind === 'volume' ? await makeVolume({ room, containerId: id, existing }, mount, undo) : mount);
  }
  return made;
}

async function makeVolume(
  {
    room,
    containerId,
    existing,
  }: { readonly room: Room; readonly containerId: ContainerId; readonly existing: Set<string> },
  mount: PlannedMount,
  undo: Undo,
): Promise<PlannedMount> {
  const volume = await room.volumes.create({
    name: mount.name,
    driver: mount.driver,
    labels: mount.volumeLabels,
    options: mount.volumeOptions,
    anonymous: mount.anonymous,
  });
  if (!existing.has(volume.name)) {
    existing.add(volume.name);
    undo.defer(async () => {
      room.volumes.release(containerId);
      await room.volumes.remove(volume.name, { force: true });
    });
  }
  return { ...mount, name: volume.name, driver: volume.driver, source: volume.mountPoint };
}
