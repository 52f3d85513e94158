/** `filters` of `GET /containers/json`. */
import { InvalidArgumentError } from '../../base/errors.ts';
import type { ContainerPort, ContainerView, Engine } from '../../engine/index.ts';
import { parseGoInteger } from '../query.ts';
import { exitCodeOf, isLive } from '../wire/container-state.ts';
import { publishedPortsOf } from '../wire/container-network.ts';
import { networkNameOf } from '../wire/namespaces.ts';
import { parseContainerPorts, portText } from '../wire/ports.ts';
import type { Filters } from './filters.ts';

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
  return (view) =>
    filters.matchLabels(view.spec.labels) &&
    filters.any('id', (wish) => view.id.startsWith(wish)) &&
    filters.any('name', (wish) => nameMatches(view.name, wish)) &&
    filters.any('status', (status) => view.state.status === status) &&
    filters.any('exited', (code) => hasExited(view) && exitCodeOf(view.state) === Number(code)) &&
    // No container has a health yet while none is checked.
    filters.any('health', (health) => health === 'none') &&
    filters.any('volume', (wish) =>
      view.mounts.some(({ name, destination }) => name === wish || destination === wish),
    ) &&
    filters.any('network', (wish) => isOnNetwork(view, wish)) &&
    (published.length === 0 || published.some((port) => hasPublished(view, port))) &&
    (exposed.length === 0 ||
      exposed.some((port) => view.spec.exposedPorts.some((own) => portText(own) === portText(port)))) &&
    (ancestors === null || ancestors.has(view.imageId)) &&
    isTask !== true;
}

function hasExited({ state }: ContainerView): boolean {
  return state.status === 'exited' || state.status === 'dead';
}

/** Docker takes the name for a regular expression, found anywhere, with or without the leading slash. */
function nameMatches(name: string, wish: string): boolean {
  if (name === wish || `/${name}` === wish) return true;
  let pattern: RegExp;
  try {
    pattern = new RegExp(wish);
  } catch {
    return false;
  }
  return pattern.test(`/${name}`) || pattern.test(name);
}

function isOnNetwork(view: ContainerView, wish: string): boolean {
  return (
    networkNameOf(view.spec.host.network) === wish ||
    view.endpoints.some(({ networkId, networkName }) => networkName === wish || networkId.startsWith(wish))
  );
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

/** Ids of the named images and of those that stand on their layers. */
function ancestorIds({ images, containers }: Engine, refs: readonly string[]): ReadonlySet<string> {
  const named = refs.map((ref) => images.find(ref)).filter((image) => image !== null);
  const ids = new Set<string>(named.map(({ id }) => id));
  for (const imageId of new Set(containers.list().map((view) => view.imageId))) {
    const layers = images.find(imageId)?.layerChainIds ?? [];
    if (named.some(({ chainId }) => chainId !== null && layers.includes(chainId))) ids.add(imageId);
  }
  return ids;
}
