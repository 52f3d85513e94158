/** The mounts of a create request: `Binds`, `Mounts`, and Config's `Volumes`. */
import { InvalidArgumentError } from '../../base/errors.ts';
import type { MountRequest } from '../../engine/index.ts';
import { parseBind } from './bind-text.ts';
import type { HostConfigDocument, MountDocument } from './host-config.ts';
import { checkAbsolute, checkTarget, isPropagation, mountConfigError } from './mount-checks.ts';

/** `Binds` and `Mounts`; InvalidArgumentError in Docker's words, also when two have one target. */
export function mountsOf(host: HostConfigDocument): readonly MountRequest[] {
  const driver = host.VolumeDriver === undefined || host.VolumeDriver === '' ? null : host.VolumeDriver;
  const mounts = [
    ...(host.Binds ?? []).map((bind) => parseBind(bind, driver)),
    ...(host.Mounts ?? []).map((mount) => mountOf(mount, driver)),
  ];
  const targets = new Set<string>();
  for (const { target } of mounts) {
    if (targets.has(target)) throw new InvalidArgumentError(`Duplicate mount point: ${target}`);
    targets.add(target);
  }
  return mounts;
}

/** Config's `Volumes`: targets of anonymous volumes. */
export function anonymousVolumesOf(volumes: Readonly<Record<string, unknown>> | null): readonly string[] {
  return Object.keys(volumes ?? {}).map((target) => checkTarget('volume', target));
}

function mountOf(mount: MountDocument, driver: string | null): MountRequest {
  const type = mount.Type ?? '';
  const target = checkTarget(type, mount.Target ?? '');
  if (!['bind', 'volume', 'tmpfs', 'image'].includes(type)) {
    throw mountConfigError(type, 'mount type unknown');
  }
  refuseForeignOptions(type, mount);
  switch (type) {
    case 'bind':
      return bindOf(mount, target);
    case 'volume':
      return volumeOf(mount, target, driver);
    case 'tmpfs':
      return tmpfsOf(mount, target);
    default:
      return imageOf(mount, target);
  }
}

/** Options of one type on a mount of another are a misunderstanding: Docker refuses them. */
function refuseForeignOptions(type: string, mount: MountDocument): void {
  const options = [
    ['bind', 'BindOptions', mount.BindOptions],
    ['volume', 'VolumeOptions', mount.VolumeOptions],
    ['tmpfs', 'TmpfsOptions', mount.TmpfsOptions],
    ['image', 'ImageOptions', mount.ImageOptions],
  ] as const;
  for (const [owner, name, given] of options) {
    if (owner !== type && given !== undefined && given !== null) {
      throw mountConfigError(type, `field ${name} must not be specified`);
    }
  }
}

function bindOf(mount: MountDocument, target: string): MountRequest {
  if ((mount.Source ?? '') === '') throw mountConfigError('bind', 'field Source must not be empty');
  const options = mount.BindOptions ?? {};
  const propagation = options.Propagation ?? '';
  if (propagation !== '' && !isPropagation(propagation)) {
    throw mountConfigError('bind', `invalid propagation mode: ${propagation}`);
  }
  return {
    kind: 'bind',
    source: checkAbsolute('bind', mount.Source ?? ''),
    target,
    readOnly: mount.ReadOnly ?? false,
    propagation: propagation === '' ? null : propagation,
    createSource: options.CreateMountpoint ?? false,
    recursive: options.NonRecursive !== true,
    ...(options.IDMap === true ? { idmap: true } : {}),
    readOnlyReach: readOnlyReachOf(mount),
    mode: '',
  };
}

function volumeOf(mount: MountDocument, target: string, volumeDriver: string | null): MountRequest {
  const options = mount.VolumeOptions ?? {};
  const name = mount.Source ?? '';
  const subpath = options.Subpath ?? '';
  if (subpath !== '' && name === '')
    throw mountConfigError('volume', 'must not set Subpath when using anonymous volumes');
  checkSubpath('volume', subpath);
  if (mount.ReadOnly === true && name === '') {
    throw mountConfigError('volume', 'must not set ReadOnly mode when using anonymous volumes');
  }
  const driver = options.DriverConfig?.Name ?? '';
  return {
    kind: 'volume',
    name: name === '' ? null : name,
    target,
    readOnly: mount.ReadOnly ?? false,
    noCopy: options.NoCopy ?? false,
    driver: driver === '' ? volumeDriver : driver,
    labels: options.Labels ?? {},
    options: options.DriverConfig?.Options ?? {},
    ...(subpath === '' ? {} : { subpath }),
    mode: 'z',
  };
}

/** Docker refuses two wishes that cannot both be had, and either without read-only. */
function readOnlyReachOf({ ReadOnly: isReadOnly, BindOptions: options }: MountDocument): 'possible' | 'source' | 'all' {
  const sourceOnly = options?.ReadOnlyNonRecursive === true;
  const all = options?.ReadOnlyForceRecursive === true;
  const name = sourceOnly ? 'ReadOnlyNonRecursive' : 'ReadOnlyForceRecursive';
  if ((sourceOnly || all) && isReadOnly !== true) {
    throw mountConfigError('bind', `mount options conflict: !ReadOnly && BindOptions.${name}`);
  }
  if (sourceOnly && all) {
    throw mountConfigError(
      'bind',
      'mount options conflict: ReadOnlyNonRecursive && BindOptions.ReadOnlyForceRecursive',
    );
  }
  return sourceOnly ? 'source' : all ? 'all' : 'possible';
}

function imageOf(mount: MountDocument, target: string): MountRequest {
  const image = mount.Source ?? '';
  if (image === '') throw mountConfigError('image', 'field Source must not be empty');
  const subpath = mount.ImageOptions?.Subpath ?? '';
  checkSubpath('image', subpath);
  return { kind: 'image', image, target, subpath };
}

/** Go's `filepath.IsLocal`: relative, and not out of where it starts. What links do is seen when it is mounted. */
function checkSubpath(type: string, subpath: string): void {
  if (subpath === '') return;
  const parts = subpath.split('/').filter((part) => part !== '' && part !== '.');
  let depth = 0;
  const leaves = parts.some((part) => {
    depth += part === '..' ? -1 : 1;
    return depth < 0;
  });
  if (subpath.startsWith('/') || leaves) {
    throw mountConfigError(type, 'subpath must be a relative path within the volume');
  }
}

function tmpfsOf(mount: MountDocument, target: string): MountRequest {
  if ((mount.Source ?? '') !== '') throw mountConfigError('tmpfs', 'field Source must not be specified');
  const { SizeBytes: size = 0, Mode: mode = 0, Options: options } = mount.TmpfsOptions ?? {};
  if (size < 0 || mode < 0) throw mountConfigError('tmpfs', 'invalid tmpfs option');
  return {
    kind: 'tmpfs',
    target,
    options: [
      ...(mount.ReadOnly === true ? ['ro'] : []),
      ...(mode === 0 ? [] : [`mode=${mode.toString(8)}`]),
      ...(size === 0 ? [] : [`size=${String(size)}`]),
      ...(options ?? []).map((words) => (words ?? []).join('=')),
    ],
  };
}
