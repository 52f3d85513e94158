/** Decides at create which mounts a container has; makes nothing. See mount-resolution.ts for what start does with them. */
import { existsSync } from 'node:fs';
import { posix } from 'node:path';
import { InvalidArgumentError, NotFoundError } from '../../../base/errors.ts';
import { newId } from '../../../base/ids.ts';
import type { PlannedMount } from '../record.ts';
import type { ContainerSpec, MountRequest } from '../spec-types.ts';

const PLAIN = {
  name: null,
  source: '',
  driver: null,
  mode: '',
  readOnly: false,
  propagation: '',
  listed: true,
  createSource: false,
  recursive: true,
  noCopy: false,
  anonymous: false,
  volumeLabels: {},
  volumeOptions: {},
  tmpfsOptions: [],
} as const;

const TMPFS_DEFAULTS: readonly string[] = ['noexec', 'nosuid', 'nodev'];
const LOCAL_DRIVER = 'local';

/** What planning asks of the rest of the engine. */
export interface PlanningGround {
  readonly mountsOfContainer: (ref: string) => readonly PlannedMount[];
  /** NotFoundError. */
  readonly imageIdOf: (ref: string) => string;
  /** The engine's own directory: what is mounted there shall not be held by a container that sees all of the host. */
  readonly ownDirectory: string;
}

/**
 * The mounts of a container: what other containers lend (`--volumes-from`), overridden by `-v`, `--mount` and `--tmpfs`,
 * completed by anonymous volumes for the image's and the user's `VOLUME`s that nothing else covers.
 */
export function planMounts(spec: ContainerSpec, ground: PlanningGround): readonly PlannedMount[] {
  const { mountsOfContainer } = ground;
  const own = [
    ...spec.host.mounts.map((request) => planRequest(request, ground)),
    ...Object.entries(spec.host.tmpfs).map(planTmpfs),
  ];
  const seen = new Set<string>();
  for (const { destination } of own) {
    if (seen.has(destination)) throw new InvalidArgumentError(`Duplicate mount point: ${destination}`);
    seen.add(destination);
  }
  const lent = spec.host.volumesFrom.flatMap((from) => planLent(from, mountsOfContainer));
  const byDestination = new Map([...lent, ...own].map((mount) => [mount.destination, mount]));
  for (const target of spec.volumes) {
    const destination = cleanTarget(target);
    if (!byDestination.has(destination)) byDestination.set(destination, anonymousVolume(destination));
  }
  return [...byDestination.values()];
}

function planRequest(request: MountRequest, ground: PlanningGround): PlannedMount {
  const destination = cleanTarget(request.target);
  switch (request.kind) {
    case 'bind':
      return planBind(request, destination, ground);
    case 'volume':
      return {
        ...PLAIN,
        kind: 'volume',
        name: request.name ?? newVolumeName(),
        driver: request.driver ?? LOCAL_DRIVER,
        destination,
        mode: request.mode,
        readOnly: request.readOnly,
        noCopy: request.noCopy,
        anonymous: request.name === null,
        volumeLabels: request.labels,
        volumeOptions: request.options,
        ...((request.subpath ?? '') === '' ? {} : { subpath: request.subpath ?? '' }),
      };
    case 'image':
      return {
        ...PLAIN,
        kind: 'image',
        name: request.image,
        source: request.tree === undefined ? knownHere(() => ground.imageIdOf(request.image)) : '',
        destination,
        readOnly: request.tree === undefined || (request.tree.kind === 'layers' && !request.tree.writable),
        ...(request.tree === undefined ? {} : { tree: request.tree }),
        ...(request.subpath === '' ? {} : { subpath: request.subpath }),
      };
    case 'tmpfs':
      return { ...PLAIN, kind: 'tmpfs', destination, tmpfsOptions: [...TMPFS_DEFAULTS, ...request.options] };
  }
}

function planBind(
  request: Extract<MountRequest, { readonly kind: 'bind' }>,
  destination: string,
  { ownDirectory }: PlanningGround,
): PlannedMount {
  if (!request.source.startsWith('/')) {
    throw new InvalidArgumentError(`invalid mount path: '${request.source}' mount path must be absolute`);
  }
  const source = cleanPath(request.source);
  if (!request.createSource && !existsSync(source)) {
    throw new InvalidArgumentError(`invalid mount config for type "bind": bind source path does not exist: ${source}`);
  }
  return {
    ...PLAIN,
    kind: 'bind',
    source,
    destination,
    mode: request.mode,
    readOnly: request.readOnly,
    // What unmounts here would stay mounted in a container that got a private copy of it.
    propagation: request.propagation ?? (holds(source, ownDirectory) ? 'rslave' : 'rprivate'),
    propagationAsked: request.propagation !== null,
    createSource: request.createSource,
    recursive: request.recursive,
    ...(request.idmap === true ? { mapped: true } : {}),
    ...(request.readOnlyReach === undefined ? {} : { readOnlyReach: request.readOnlyReach }),
  };
}

function holds(directory: string, path: string): boolean {
  return directory === '/' || path === directory || path.startsWith(`${directory}/`);
}

function planTmpfs([target, options]: readonly [string, string]): PlannedMount {
  const words = options.split(',').filter((word) => word !== '');
  // The last of two opposite words wins in mount(8); Docker drops its own default instead.
  const defaults = TMPFS_DEFAULTS.filter((word) => !words.includes(word.slice(2)));
  return {
    ...PLAIN,
    kind: 'tmpfs',
    destination: cleanTarget(target),
    tmpfsOptions: [...defaults, ...words],
    readOnly: words.includes('ro'),
    listed: false,
  };
}

function planLent(from: string, mountsOfContainer: (ref: string) => readonly PlannedMount[]): readonly PlannedMount[] {
  const [ref = '', mode = ''] = from.split(':', 2);
  if (ref === '') throw new InvalidArgumentError('volumes-from specification is empty');
  if (mode !== '' && !/^(ro|rw|z|Z)(,(ro|rw|z|Z))*$/.test(mode)) {
    throw new InvalidArgumentError(`invalid mode: ${mode}`);
  }
  const readOnly = mode.split(',').includes('ro');
  // What is lent belongs to the lender: this container's removal leaves it.
  return knownHere(() => mountsOfContainer(ref))
    .filter(({ kind }) => kind !== 'tmpfs')
    .map((mount) => ({ ...mount, readOnly: mount.readOnly || readOnly, mode: '', anonymous: false, noCopy: true }));
}

/** The CLI takes 404 for the container's image being missing and pulls that: what else is unknown is a bad argument. */
function knownHere<T>(find: () => T): T {
  try {
    return find();
  } catch (error) {
    if (error instanceof NotFoundError) throw new InvalidArgumentError(error.message, { cause: error });
    throw error;
  }
}

function anonymousVolume(destination: string): PlannedMount {
  return {
    ...PLAIN,
    kind: 'volume',
    name: newVolumeName(),
    driver: LOCAL_DRIVER,
    destination,
    anonymous: true,
  };
}

function newVolumeName(): string {
  return newId();
}

function cleanTarget(target: string): string {
  if (!target.startsWith('/')) {
    throw new InvalidArgumentError(`invalid mount path: '${target}' mount path must be absolute`);
  }
  const clean = cleanPath(target);
  if (clean === '/') throw new InvalidArgumentError("invalid specification: destination can't be '/'");
  return clean;
}

/** `/a/` is `/a`, `/a/../b` is `/b`. */
function cleanPath(path: string): string {
  const clean = posix.normalize(path);
  return clean.length > 1 && clean.endsWith('/') ? clean.slice(0, -1) : clean;
}
