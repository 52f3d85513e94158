/** Which things a request means, and what comes free with each. Nothing is changed here. */
import { parseTimestamp, type Timestamp } from '../../base/clock.ts';
import { hasLabel } from '../../base/labels.ts';
import type { ContainerView, Containers } from '../containers/types.ts';
import { EVERY_IMAGE, type Images, type ImageView } from '../images/types.ts';
import type { VolumeRecord, Volumes } from '../volumes/driver.ts';
import { parseUntil } from './until.ts';
import type { PruneRequest, PruneVictim } from './types.ts';

/** The rooms that are looked at. */
export interface PruneRooms {
  readonly containers: Pick<Containers, 'list' | 'sizes' | 'remove'>;
  readonly images: Pick<Images, 'list' | 'find' | 'remove'>;
  readonly volumes: Pick<Volumes, 'list' | 'usersOf' | 'usage' | 'remove'>;
}

/** An image with the references that have to go one by one. */
export interface ImageVictim {
  readonly victim: PruneVictim;
  readonly references: readonly string[];
}

export interface Selection {
  readonly containers: readonly PruneVictim[];
  readonly volumes: readonly PruneVictim[];
  readonly images: readonly ImageVictim[];
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
  const images = wants('image') ? await selectImages(rooms, request, { until, staying }) : null;
  return {
    containers: await Promise.all(leaving.map(async (view) => containerVictim(rooms, view))),
    volumes: wants('volume') ? await selectVolumes(rooms, request, { until, leavingIds }) : [],
    images: images?.victims ?? [],
    layerBytes: images?.layerBytes ?? new Map<string, number>(),
  };
}

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
  { until, staying }: { readonly until: Timestamp | null; readonly staying: readonly ContainerView[] },
): Promise<{ readonly victims: readonly ImageVictim[]; readonly layerBytes: ReadonlyMap<string, number> }> {
  const all = await images.list({ ...EVERY_IMAGE });
  const used = new Set<string>(staying.map(({ imageId }) => imageId));
  const kept = keptByTag(all, request.keep.newestTags);
  const isVictim = (image: ImageView): boolean => {
    const created = parseTimestamp(image.config.created ?? '');
    return (
      !used.has(image.id) &&
      !kept.has(image.id) &&
      !isNamed(
        image.tags.flatMap((tag) => [tag, tag.slice(0, tag.lastIndexOf(':'))]),
        request,
      ) &&
      !(request.danglingOnly && image.tags.length > 0) &&
      isLabelled(image.config.config?.Labels ?? {}, request) &&
      (created === null || isOld(created, until))
    );
  };
  const going = all.filter(isVictim);
  const shared = new Set<string>(all.filter((image) => !isVictim(image)).flatMap(({ layerChainIds }) => layerChainIds));
  const layerBytes = new Map<string, number>();
  const victims = going.map((image): ImageVictim => {
    let bytes = 0;
    image.layerChainIds.forEach((chainId, index) => {
      if (shared.has(chainId)) return;
      shared.add(chainId);
      const size = image.layerSizes[index] ?? 0;
      layerBytes.set(chainId, size);
      bytes += size;
    });
    const references = image.tags.length === 0 ? [image.id] : image.tags;
    return { victim: { type: 'image', id: image.id, name: image.tags[0] ?? '', bytes }, references };
  });
  return { victims, layerBytes };
}

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
