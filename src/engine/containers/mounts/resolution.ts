/** At start: turns planned mounts into what the runtime makes, and sees to it that their sources exist. */
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { InternalError, InvalidArgumentError, messageOf } from '../../../base/errors.ts';
import type { IdMapping } from '../../oci/id-mapping.ts';
import type { Mount } from '../../oci/mount.ts';
import type { Container } from '../container.ts';
import { fillVolume } from './copy-up.ts';
import { mountImage, type ImageGround } from './image.ts';
import { checkPropagation } from './propagation.ts';
import { readOnlyWord } from './read-only.ts';
import { bindSubpath } from './subpath.ts';
import { mergeTmpfsOptions } from './tmpfs-options.ts';
import type { PlannedMount } from '../record.ts';
import { runtimeNamed, type Room } from '../room.ts';
import type { ResolvedMount } from '../spec/input.ts';

const MOUNTINFO = '/proc/self/mountinfo';

/**
 * The container's mounts, those nearer to the root first. Its root must be mounted: volumes that begin empty at each run are filled from it. `mapping`: of the user
 * namespace for which images are mounted; volumes and binds are mapped later.
 */
export async function resolveMounts(
  room: Room,
  container: Container,
  mapping: IdMapping | null = null,
): Promise<readonly ResolvedMount[]> {
  const resolved: ResolvedMount[] = [];
  for (const [index, planned] of byDepth(container.document.mounts).entries()) {
    const place = join(container.paths.mounts, String(index));
    const mount = await resolve({ room, container, place, mapping }, planned);
    // Binds show the host's ids, as in dockerd, unless asked for otherwise; a volume has those of its containers.
    const mapped = planned.kind === 'volume' || planned.mapped === true;
    resolved.push({ destination: planned.destination, mount, mapped });
  }
  return resolved;
}

/** Lets go of what {@link resolveMounts} has taken: places inside volumes, and the volumes themselves. Idempotent. */
export async function releaseMounts(room: Room, { id, document, paths }: Container): Promise<void> {
  if (document.mounts.some(({ kind, subpath }) => kind === 'image' || (subpath ?? '') !== '')) {
    for (const path of room.kernel.mounts.listBelow(paths.mounts)) room.kernel.mounts.unmount(path, { lazy: true });
  }
  for (const { kind, name } of document.mounts) {
    if (kind === 'volume' && name !== null) await room.volumes.unmount(name, id);
  }
}

/** Its place is where a part of a volume, or an image, can be mounted for the runtime. */
type Ground = ImageGround;

async function resolve(ground: Ground, planned: PlannedMount): Promise<Mount> {
  switch (planned.kind) {
    case 'bind':
      return bindOf(ground, planned);
    case 'volume':
      return volumeOf(ground, planned);
    case 'image':
      return {
        type: 'bind',
        source: await mountImage(ground, planned),
        options: ['rbind', 'rprivate', planned.readOnly ? 'ro' : 'rw'],
      };
    case 'tmpfs':
      return { type: 'tmpfs', source: 'tmpfs', options: mergeTmpfsOptions(planned.tmpfsOptions) };
  }
}

function bindOf(ground: Ground, planned: PlannedMount): Mount {
  const { source } = planned;
  if (!existsSync(source)) {
    if (!planned.createSource) {
      throw new InvalidArgumentError(
        `invalid mount config for type "bind": bind source path does not exist: ${source}`,
      );
    }
    try {
      mkdirSync(source, { recursive: true });
    } catch (error) {
      throw new InternalError(`error while creating mount source path '${source}': ${messageOf(error)}`, {
        cause: error,
      });
    }
  }
  return {
    type: 'bind',
    source,
    options: [
      planned.recursive ? 'rbind' : 'bind',
      propagationOf(planned),
      // Nothing lies below a file; crun cannot make one read-only with all that does.
      planned.readOnly && !statSync(source).isDirectory() ? 'ro' : accessOf(ground, planned, planned.readOnly),
    ],
  };
}

/** What the engine chose by itself, for a source that holds its own directory, is given up where the host cannot. */
function propagationOf({ propagation, propagationAsked, source }: PlannedMount): string {
  if (propagation === '' || /^r?private$/.test(propagation)) return propagation === '' ? 'rprivate' : propagation;
  try {
    checkPropagation(propagation, source, readFileSync(MOUNTINFO, 'utf8'));
    return propagation;
  } catch (error) {
    if (propagationAsked !== false) throw error;
    return 'rprivate';
  }
}

async function volumeOf(ground: Ground, planned: PlannedMount): Promise<Mount> {
  const { room, container, place } = ground;
  const name = planned.name ?? '';
  const { mount, isMounted, keepsOwner } = await room.volumes.mount(name, container.id);
  const access = accessOf(ground, planned, planned.readOnly || mount.options.includes('ro'));
  const { subpath = '' } = planned;
  if (subpath !== '') {
    bindSubpath({ files: room.files, mounts: room.kernel.mounts }, mount.source, subpath, place);
    return { type: 'bind', source: place, options: ['rbind', access] };
  }
  // What lies on the disk was filled at create, and stays empty where somebody has emptied it; a file system that is
  // made anew for each run has lost what it was given then.
  if (!planned.noCopy && isMounted) {
    const target = { rootfs: container.paths.rootfs, target: planned.destination };
    const volume = { path: mount.source, isMounted, keepsOwner };
    await room.volumeLock.hold(name, () => fillVolume(room.files, target, volume));
  }
  return { ...mount, options: [...mount.options.filter((word) => word !== 'rw' && word !== 'ro'), access] };
}

function accessOf({ room, container }: Ground, { readOnlyReach }: PlannedMount, readOnly: boolean): string {
  if (!readOnly) return 'rw';
  const { name, program } = runtimeNamed(room, container.document.runtime);
  return readOnlyWord(readOnlyReach ?? 'possible', { name, path: program.path });
}

/** A mount hides what lies below it, so the outer ones come first; equally deep ones keep their order. */
function byDepth(mounts: readonly PlannedMount[]): readonly PlannedMount[] {
  return [...mounts].sort((a, b) => depthOf(a.destination) - depthOf(b.destination));
}

function depthOf(path: string): number {
  return path.split('/').length;
}
