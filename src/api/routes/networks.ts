import { param, type Context } from '../context.ts';
import { Filters } from '../filters/filters.ts';
import type { NetworkView } from '../../engine/index.ts';
import type { Route } from '../router.ts';
import { networkDocument } from '../wire/network.ts';

export const NETWORK_ROUTES: readonly Route[] = [
  { method: 'GET', pattern: '/networks', handle: list },
  { method: 'GET', pattern: '/networks/{id}', handle: inspect },
  { method: 'DELETE', pattern: '/networks/{id}', handle: remove },
  { method: 'POST', pattern: '/networks/prune', handle: prune },
];

const FILTERS = ['dangling', 'driver', 'id', 'label', 'name', 'scope', 'type'];
const PREDEFINED = new Set(['bridge', 'host', 'none']);

function list({ engine, query, version, reply }: Context): void {
  const filters = Filters.from(query, FILTERS);
  const dangling = filters.boolean('dangling');
  const networks = engine.networks.list().filter((network) => matches(network, filters, dangling));
  reply.json(
    200,
    networks.map((network) => networkDocument(network, { version, containers: null })),
  );
}

function matches(network: NetworkView, filters: Filters, dangling: boolean | null): boolean {
  const isPredefined = PREDEFINED.has(network.name);
  return (
    filters.any('driver', (wish) => network.driver === wish) &&
    filters.any('id', (wish) => network.id.startsWith(wish)) &&
    filters.any('name', (wish) => network.name.includes(wish)) &&
    filters.any('scope', (wish) => wish === 'local') &&
    filters.any('type', (wish) => (wish === 'builtin' ? isPredefined : wish === 'custom' && !isPredefined)) &&
    filters.matchLabels(network.labels) &&
    (dangling === null || dangling === (!isPredefined && network.endpoints.length === 0))
  );
}

function inspect(context: Context): void {
  const { engine, version, reply } = context;
  const network = engine.networks.get(param(context, 'id'));
  reply.json(200, networkDocument(network, { version, containers: engine.containers }));
}

async function remove(context: Context): Promise<void> {
  await context.engine.networks.remove(param(context, 'id'));
  context.reply.send(204);
}

/** Takes no predefined network away; there are no others. */
function prune({ query, reply }: Context): void {
  Filters.from(query, ['label', 'label!', 'until']);
  reply.json(200, { NetworksDeleted: null });
}
