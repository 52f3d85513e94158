/** `filters` of `GET /containers/json`. */
import { InvalidArgumentError } from '../../base/errors.ts';
import type { ContainerPort, ContainerView, Engine } from '../../engine/index.ts';
import { parseGoInteger } from '../query.ts';
import { exitCodeOf, isLive } from '../wire/container-state.ts';
import { publishedPortsOf } from '../wire/container-network.ts';
import type { NetworkLookup } from '../wire/container-endpoints.ts';
import { networkLookup } from '../wire/lookups.ts';
import { parseContainerPorts, portText } from '../wire/ports.ts';
import { patternMatcher, type Filters } from './filters.ts';

export const CONTAINER_FILTERS: readonly string[] = [
  'ancestor',
  'before',
  'exited',
  'expose',
  'health',
  'id',
  'is-task',
  'isolation',
  'label',
  'name',
  'network',
  'publish',
  'since',
  'status',
  'volume',
];

const STATUSES = ['created', 'dead', 'exited', 'paused', 'removing', 'restarting', 'running'];
const HEALTH = ['starting', 'healthy', 'unhealthy', 'none'];

export interface ListOptions {
  readonly all: boolean;
  /** Null: no bound. Implies `all`. */
  readonly limit: number | null;
}

/** The containers that all filters let through, newest first. InvalidArgumentError for values that mean nothing. */
export function selectContainers(engine: Engine, filters: Filters, options: ListOptions): readonly ContainerView[] {
  check(filters);
  const matches = matcher(engine, filters);
  // Asking by state, or for the last n, means the stopped ones too.
  const all =
    options.all || options.limit !== null || ['status', 'exited', 'before', 'since'].some((name) => filters.has(name));
  const views = betweenBounds(engine, filters).filter((view) => (all || isShownByDefault(view)) && matches(view));
  return options.limit === null ? views : views.slice(0, options.limit);
}

function isShownByDefault(view: ContainerView): boolean {
  return isLive(view) || view.state.status === 'restarting';
}

function check(filters: Filters): void {
  const bad = filters.get('status').find((status) => !STATUSES.includes(status));
  if (bad !== undefined) throw new InvalidArgumentError(`invalid filter 'status=${bad}'`);
  const health = filters.get('health').find((value) => !HEALTH.includes(value));
  if (health !== undefined) throw new InvalidArgumentError(`unrecognized filter value for health: ${health}`);
  for (const code of filters.get('exited')) parseGoInteger(code);
}

/** `before` and `since` name containers: what is older, what is newer. */
function betweenBounds({ containers }: Engine, filters: Filters): readonly ContainerView[] {
  const before = filters.get('before').map((ref) => containers.get(ref).createdAt);
  const since = filters.get('since').map((ref) => containers.get(ref).createdAt);
  return containers
    .list()
    .filter(({ createdAt }) => before.every((bound) => createdAt < bound) && since.every((bound) => createdAt > bound));
}

function matcher(engine: Engine, filters: Filters): (view: ContainerView) => boolean {
  const published = filters.get('publish').flatMap((text) => portsOf('publish', text));
  const exposed = filters.get('expose').flatMap((text) => portsOf('expose', text));
  const ancestors = filters.has('ancestor') ? ancestorIds(engine, filters.get('ancestor')) : null;
  const isTask = filters.boolean('is-task');
  const names = filters.get('name').map(patternMatcher);
  const find = networkLookup(engine);
  return (view) =>
    filters.matchLabels(view.spec.labels) &&
    filters.any('id', (wish) => view.id.startsWith(wish)) &&
    (names.length === 0 || names.some((isMeant) => isMeant(`/${view.name}`) || isMeant(view.name))) &&
    filters.any('status', (status) => view.state.status === status) &&
    filters.any('exited', (code) => hasExited(view) && exitCodeOf(view.state) === Number(code)) &&
    filters.any('health', (health) => (view.health?.status ?? 'none') === health) &&
    filters.any('volume', (wish) =>
      view.mounts.some(({ name, destination }) => name === wish || destination === wish),
    ) &&
    filters.any('network', (wish) => isOnNetwork(view, wish, find)) &&
    (published.length === 0 || published.some((port) => hasPublished(view, port))) &&
    (exposed.length === 0 ||
      exposed.some((port) => view.spec.exposedPorts.some((own) => portText(own) === portText(port)))) &&
    (ancestors === null || ancestors.has(view.imageId)) &&
    isTask !== true;
}

function hasExited({ state }: ContainerView): boolean {
  return state.status === 'exited' || state.status === 'dead';
}

function isOnNetwork(view: ContainerView, wish: string, find: NetworkLookup): boolean {
  return view.networks.has(wish) || networkIdsOf(view, find).some((id) => id.startsWith(wish));
}

/** Of what runs, and of what has run: before its first start a container knows only names. */
function networkIdsOf(view: ContainerView, find: NetworkLookup): readonly string[] {
  if (view.state.status === 'created') return [];
  const stopped = [...view.networks.keys()].flatMap((name) => find(name)?.id ?? []);
  return [...view.endpoints.map(({ networkId }) => networkId), ...stopped];
}

function hasPublished(view: ContainerView, port: ContainerPort): boolean {
  return publishedPortsOf(view).some(
    ({ container, hostPort }) =>
      container.protocol === port.protocol && (container.port === port.port || hostPort === port.port),
  );
}

function portsOf(filter: string, text: string): readonly ContainerPort[] {
  try {
    return parseContainerPorts(text);
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    throw new InvalidArgumentError(
      `error while looking up for ${filter} ${text}: strconv.ParseUint: parsing "${text}": invalid syntax`,
    );
  }
}

/** Ids of the named images and of those that were made on them. */
function ancestorIds({ images, containers }: Engine, refs: readonly string[]): ReadonlySet<string> {
  const named = new Set<string>(refs.flatMap((ref) => findImage(images, ref)?.id ?? []));
  const descends = (id: string | null): boolean =>
    id !== null && (named.has(id) || descends(images.find(id)?.parent ?? null));
  return new Set(containers.list().flatMap(({ imageId }) => (descends(imageId) ? [imageId] : [])));
}

/** What cannot be a name matches nothing, as dockerd has it. */
function findImage(images: Engine['images'], ref: string): ReturnType<Engine['images']['find']> {
  try {
    return images.find(ref);
  } catch (error) {
    if (error instanceof InvalidArgumentError) return null;
    throw error;
  }
}
