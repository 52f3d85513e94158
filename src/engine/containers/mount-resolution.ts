/** At start: turns planned mounts into what the runtime makes, and sees to it that their sources exist. */
import { existsSync, mkdirSync } from 'node:fs';
import { InternalError, InvalidArgumentError, messageOf } from '../../base/errors.ts';
import type { Mount } from '../oci/mount.ts';
import type { Container } from './container.ts';
import { fillVolume } from './copy-up.ts';
import type { PlannedMount } from './record.ts';
import type { Room } from './room.ts';
import type { ResolvedMount } from './spec/input.ts';

/** The container's mounts, those nearer to the root first. Its root must be mounted: empty volumes are filled from it. */
export async function resolveMounts(room: Room, container: Container): Promise<readonly ResolvedMount[]> {
  const resolved: ResolvedMount[] = [];
  for (const mount of byDepth(container.document.mounts)) {
    resolved.push({ destination: mount.destination, mount: await resolve(room, container, mount) });
  }
  return resolved;
}

async function resolve(room: Room, container: Container, planned: PlannedMount): Promise<Mount> {
  switch (planned.kind) {
    case 'bind':
      return bindOf(planned);
    case 'volume':
      return volumeOf(room, container, planned);
    case 'tmpfs':
      return { type: 'tmpfs', source: 'tmpfs', options: planned.tmpfsOptions };
  }
}

function bindOf(planned: PlannedMount): Mount {
  if (!existsSync(planned.source)) {
    if (!planned.createSource) {
      throw new InvalidArgumentError(
        `invalid mount config for type "bind": bind source path does not exist: ${planned.source}`,
      );
    }
    try {
      mkdirSync(planned.source, { recursive: true });
    } catch (error) {
      throw new InternalError(`error while creating mount source path '${planned.source}': ${messageOf(error)}`, {
        cause: error,
      });
    }
  }
  const propagation = planned.propagation === '' ? 'rprivate' : planned.propagation;
  return {
    type: 'bind',
    source: planned.source,
    options: [planned.recursive ? 'rbind' : 'bind', propagation, accessOf(planned)],
  };
}

async function volumeOf(room: Room, container: Container, planned: PlannedMount): Promise<Mount> {
  const name = planned.name ?? '';
  const mount = await room.volumes.mount(name);
  const isDirectory = mount.type === 'bind' || mount.type === 'none';
  if (isDirectory && !planned.noCopy) {
    await room.volumeLock.hold(name, () =>
      fillVolume(room.files, { rootfs: container.paths.rootfs, target: planned.destination }, mount.source),
    );
  }
  const own = mount.options.filter((option) => option !== 'rw' && option !== 'ro');
  const readOnly = planned.readOnly || mount.options.includes('ro');
  return { ...mount, options: [...own, readOnly ? 'ro' : 'rw'] };
}

function accessOf(planned: PlannedMount): 'ro' | 'rw' {
  return planned.readOnly ? 'ro' : 'rw';
}

/** A mount hides what lies below it, so the outer ones come first; equally deep ones keep their order. */
function byDepth(mounts: readonly PlannedMount[]): readonly PlannedMount[] {
  return [...mounts].sort((a, b) => depthOf(a.destination) - depthOf(b.destination));
}

function depthOf(path: string): number {
  return path.split('/').length;
}
