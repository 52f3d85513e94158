import { InvalidArgumentError, NotFoundError } from '../../base/errors.ts';
import { param, type Context } from '../context.ts';
import { Filters } from '../filters/filters.ts';
import { NETWORK_FILTERS, selectNetworks } from '../filters/networks.ts';
import type { Route } from '../router.ts';
import { readJson } from '../wire/body.ts';
import { networkDocument } from '../wire/network.ts';
import { endpointWishOf } from '../wire/endpoints.ts';
import { NETWORK_CONNECT, NETWORK_CREATE, NETWORK_DISCONNECT, networkRequestOf } from '../wire/network-requests.ts';

export const NETWORK_ROUTES: readonly Route[] = [
  { method: 'GET', pattern: '/networks', handle: list },
  { method: 'POST', pattern: '/networks/create', handle: create },
  { method: 'GET', pattern: '/networks/{id}', handle: inspect },
  { method: 'POST', pattern: '/networks/{id}/connect', handle: connect },
  { method: 'POST', pattern: '/networks/{id}/disconnect', handle: disconnect },
  { method: 'DELETE', pattern: '/networks/{id}', handle: remove },
];

/** What Go takes for a truth value. */
const GO_BOOLEANS: ReadonlySet<string> = new Set([
  '1',
  't',
  'T',
  'TRUE',
  'true',
  'True',
  '0',
  'f',
  'F',
  'FALSE',
  'false',
  'False',
]);

function list({ engine, query, version, reply }: Context): void {
  const networks = selectNetworks(engine.networks.list(), Filters.from(query, NETWORK_FILTERS));
  // Who is on them is for inspect to say, since 1.28.
  const containers = version.before('1.28') ? engine.containers : null;
  reply.json(
    200,
    networks.map((network) => networkDocument(network, { version, containers })),
  );
}

/** With `verbose` a swarm's services would be told as well. */
function inspect(context: Context): void {
  const { engine, query, version, reply } = context;
  const verbose = query.text('verbose');
  if (verbose !== '' && !GO_BOOLEANS.has(verbose)) {
    throw new InvalidArgumentError(
      `invalid value for verbose: ${verbose}: strconv.ParseBool: parsing ${JSON.stringify(verbose)}: invalid syntax`,
    );
  }
  const ref = param(context, 'id');
  const scope = query.text('scope');
  if (scope !== '' && scope !== 'local') throw new NotFoundError(`network ${ref} not found`);
  reply.json(200, networkDocument(engine.networks.get(ref), { version, containers: engine.containers }));
}

async function create(context: Context): Promise<void> {
  const request = networkRequestOf((await readJson(context, NETWORK_CREATE)) ?? {}, context.version);
  const { network, warnings } = await context.engine.networks.create(request);
  context.reply.json(201, { Id: network.id, Warning: warnings.join('\n') });
}

async function connect(context: Context): Promise<void> {
  const { engine, version, reply } = context;
  const { Container: ref = '', EndpointConfig: settings } = (await readJson(context, NETWORK_CONNECT)) ?? {};
  await engine.containers.connectNetwork(ref, param(context, 'id'), endpointWishOf(settings ?? {}, version));
  reply.send(200);
}

async function disconnect(context: Context): Promise<void> {
  const { Container: ref = '', Force: force = false } = (await readJson(context, NETWORK_DISCONNECT)) ?? {};
  await context.engine.containers.disconnectNetwork(ref, param(context, 'id'), { force });
  context.reply.send(200);
}

async function remove(context: Context): Promise<void> {
  await context.engine.networks.remove(param(context, 'id'));
  context.reply.send(204);
}
