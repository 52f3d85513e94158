/** Which things a request means, and what comes free with each. Nothing is changed here. */
import { parseTimestamp, type Timestamp } from '../../base/clock.ts';
import { hasLabel } from '../../base/labels.ts';
import { parseUntil } from '../../base/until.ts';
import type { Builds, CachePruneRequest } from '../build/types.ts';
import type { ContainerView, Containers } from '../containers/types.ts';
import { EVERY_IMAGE, type Images, type ImageView } from '../images/types.ts';
import type { Networks } from '../network/types.ts';
import type { VolumeRecord, Volumes } from '../volumes/driver.ts';
import { followersOf, intermediatesOf } from './families.ts';
import type { CacheRules, PruneRequest, PruneVictim } from './types.ts';

/** The rooms that are looked at. */
export interface PruneRooms {
  readonly containers: Pick<Containers, 'list' | 'sizes' | 'remove'>;
  readonly images: Pick<Images, 'list' | 'find' | 'remove' | 'lastUses'>;
  readonly networks: Pick<Networks, 'list' | 'remove'>;
  readonly volumes: Pick<Volumes, 'list' | 'usersOf' | 'usage' | 'remove'>;
  readonly builds: Pick<Builds, 'previewPrune' | 'pruneCache'>;
}

/** An image with the references that have to go one by one. */
export interface ImageVictim {
  readonly victim: PruneVictim;
  readonly references: readonly string[];
}

export interface Selection {
  readonly containers: readonly PruneVictim[];
  readonly networks: readonly PruneVictim[];
  readonly volumes: readonly PruneVictim[];
  readonly images: readonly ImageVictim[];
  readonly cache: readonly PruneVictim[];
  /** Bytes of each layer of the victims. */
  readonly layerBytes: ReadonlyMap<string, number>;
}

/** All that a request selects now. What only victims use counts as unused. */
export async function select(rooms: PruneRooms, request: PruneRequest, now: Timestamp): Promise<Selection> {
  const until = request.until === null ? null : parseUntil(request.until, now);
  const wants = (type: PruneRequest['types'][number]): boolean => request.types.includes(type);
  const all = rooms.containers.list();
  const leaving = wants('container') ? all.filter((view) => isPrunable(view, request, until)) : [];
  const leavingIds = new Set<string>(leaving.map(({ id }) => id));
  const staying = all.filter(({ id }) => !leavingIds.has(id));
  const { unusedFor = null } = request;
  const unusedSince = unusedFor === null ? null : parseUntil(unusedFor, now);
  const images = wants('image') ? await selectImages(rooms, request, { until, unusedSince, staying }) : null;
  return {
    containers: await Promise.all(leaving.map(async (view) => containerVictim(rooms, view))),
    networks: wants('network') ? selectNetworks(rooms, request, until) : [],
    volumes: wants('volume') ? await selectVolumes(rooms, request, { until, leavingIds }) : [],
    images: images?.victims ?? [],
    cache: wants('build-cache') ? await selectCache(rooms, request) : [],
    layerBytes: images?.layerBytes ?? new Map<string, number>(),
  };
}

const PREDEFINED_NETWORKS: ReadonlySet<string> = new Set(['bridge', 'host', 'none']);

/** Of an image that went between two looks. */
const NEVER = 0n as Timestamp;

function isPrunable(view: ContainerView, request: PruneRequest, until: Timestamp | null): boolean {
  return (
    ['created', 'exited', 'dead'].includes(view.state.status) &&
    isLabelled(view.spec.labels, request) &&
    !isNamed([view.name], request) &&
    isOld(view.createdAt, until)
  );
}

async function containerVictim({ containers }: PruneRooms, { id, name }: ContainerView): Promise<PruneVictim> {
  // It may be removed while we measure.
  const sizes = await containers.sizes(id).catch(() => null);
  return { type: 'container', id, name, bytes: sizes?.writableBytes ?? 0 };
}

/** Those that users made, configurations apart, and no container is plugged into; one that does not run gets its networks at its start. */
function selectNetworks(
  { networks }: PruneRooms,
  request: PruneRequest,
  until: Timestamp | null,
): readonly PruneVictim[] {
  return networks
    .list()
    .filter(({ name }) => !PREDEFINED_NETWORKS.has(name))
    .filter(({ endpoints, configuration }) => endpoints.length === 0 && configuration === undefined)
    .filter(({ name, labels }) => isLabelled(labels, request) && !isNamed([name], request))
    .filter(({ createdAt }) => isOld(createdAt, until))
    .map(({ id, name }) => ({ type: 'network', id, name, bytes: 0 }));
}

async function selectVolumes(
  { volumes }: PruneRooms,
  request: PruneRequest,
  { until, leavingIds }: { readonly until: Timestamp | null; readonly leavingIds: ReadonlySet<string> },
): Promise<readonly PruneVictim[]> {
  const isUnused = ({ name }: VolumeRecord): boolean => volumes.usersOf(name).every((user) => leavingIds.has(user));
  const victims: PruneVictim[] = [];
  for (const volume of volumes.list()) {
    const isWanted = (request.namedVolumes || volume.anonymous) && isLabelled(volume.labels, request);
    if (!isWanted || isNamed([volume.name], request) || !isOld(volume.createdAt, until) || !isUnused(volume)) continue;
    const bytes = await volumes.usage(volume.name).catch(() => 0);
    victims.push({ type: 'volume', id: volume.name, name: volume.name, bytes });
  }
  return victims;
}

async function selectImages(
  { images }: PruneRooms,
  request: PruneRequest,
  {
    until,
    unusedSince,
    staying,
  }: {
    readonly until: Timestamp | null;
    readonly unusedSince: Timestamp | null;
    readonly staying: readonly ContainerView[];
  },
): Promise<{ readonly victims: readonly ImageVictim[]; readonly layerBytes: ReadonlyMap<string, number> }> {
  const all = await images.list({ ...EVERY_IMAGE });
  const used = new Set<string>(staying.map(({ imageId }) => imageId));
  const kept = keptByTag(all, request.keep.newestTags);
  const intermediates = intermediatesOf(all);
  const isByUse = unusedSince !== null || request.order === 'least-recently-used-first';
  const lastUses = isByUse ? images.lastUses() : new Map<ImageView['id'], Timestamp>();
  const lastUse = ({ id }: ImageView): Timestamp => lastUses.get(id) ?? NEVER;
  const isVictim = (image: ImageView): boolean => {
    const created = parseTimestamp(image.config.created ?? '');
    return (
      !used.has(image.id) &&
      !intermediates.has(image.id) &&
      !kept.has(image.id) &&
      !isNamed(
        image.tags.flatMap((tag) => [tag, tag.slice(0, tag.lastIndexOf(':'))]),
        request,
      ) &&
      !(request.danglingOnly && image.tags.length > 0) &&
      isLabelled(image.config.config?.Labels ?? {}, request) &&
      // An image that does not say when it was made is never old.
      (until === null || (created !== null && isOld(created, until))) &&
      isOld(lastUse(image), unusedSince)
    );
  };
  const going = all.filter(isVictim);
  if (request.order === 'least-recently-used-first') going.sort((a, b) => compare(lastUse(a), lastUse(b)));
  const goingIds = new Set<string>(going.map(({ id }) => id));
  const followers = followersOf(all, goingIds, used);
  const staysHere = ({ id }: ImageView): boolean => !goingIds.has(id) && !followers.has(id);
  const shared = new Set<string>(all.filter(staysHere).flatMap(({ layerChainIds }) => layerChainIds));
  const layerBytes = new Map<string, number>(
    all.flatMap(({ layerChainIds, layerSizes }) => layerChainIds.map((id, index) => [id, layerSizes[index] ?? 0])),
  );
  const victims = going.map((image): ImageVictim => {
    let bytes = 0;
    for (const chainId of image.layerChainIds) {
      if (shared.has(chainId)) continue;
      shared.add(chainId);
      bytes += layerBytes.get(chainId) ?? 0;
    }
    // Tags first: the digests of a repository go with its last tag.
    const names = [...image.tags, ...image.digests];
    const references = names.length === 0 ? [image.id] : names;
    return { victim: { type: 'image', id: image.id, name: image.tags[0] ?? '', bytes }, references };
  });
  return { victims, layerBytes };
}

async function selectCache({ builds }: PruneRooms, request: PruneRequest): Promise<readonly PruneVictim[]> {
  if (request.labels.length > 0) return [];
  const entries = await builds.previewPrune(cacheRequestOf(request));
  return entries.map(({ id, description, sizeBytes, shared }) => ({
    type: 'build-cache',
    id,
    name: description,
    // What an image holds too does not come free.
    bytes: shared ? 0 : sizeBytes,
  }));
}

/** In the builds room's words. */
export function cacheRequestOf({ until, buildCache }: PruneRequest): CachePruneRequest {
  const { filters, ...rules } = buildCache ?? UNUSED_CACHE;
  return { ...rules, until, filters: new Map(Object.entries(filters)) };
}

const UNUSED_CACHE: CacheRules = { all: false, keepBytes: null, maxUsedBytes: null, minFreeBytes: null, filters: {} };

/** Images that a repository's newest tags name: by the time of tagging, then of building, then by name. */
function keptByTag(images: readonly ImageView[], newestTags: number | null): ReadonlySet<string> {
  if (newestTags === null) return new Set();
  const byRepository = Map.groupBy(
    images.flatMap((image) => image.tags.map((tag) => ({ image, tag }))),
    ({ tag }) => tag.slice(0, tag.lastIndexOf(':')),
  );
  const newestFirst = [...byRepository.values()].map((tags) =>
    tags.toSorted((a, b) => compare(ageKey(b.image), ageKey(a.image)) || compare(b.tag, a.tag)),
  );
  return new Set(newestFirst.flatMap((tags) => tags.slice(0, newestTags).map(({ image }) => image.id)));
}

function ageKey({ lastTaggedAt, config }: ImageView): bigint {
  return lastTaggedAt ?? parseTimestamp(config.created ?? '') ?? 0n;
}

function compare<T extends string | bigint>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function isOld(createdAt: Timestamp, until: Timestamp | null): boolean {
  return until === null || createdAt <= until;
}

function isLabelled(
  labels: Readonly<Record<string, string>>,
  { labels: all, withoutLabels, keep }: PruneRequest,
): boolean {
  return (
    all.every((wish) => hasLabel(labels, wish)) &&
    ![...withoutLabels, ...keep.labels].some((wish) => hasLabel(labels, wish))
  );
}

/** Whether a rule keeps one of these names. */
function isNamed(names: readonly string[], { keep }: PruneRequest): boolean {
  return (keep.names ?? []).some((pattern) => {
    const text = pattern
      .replace(/[.+^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.');
    const regex = new RegExp(`^${text}$`, 's');
    return names.some((name) => regex.test(name));
  });
}
