import { InvalidArgumentError } from '../../base/errors.ts';
import { param, type Context } from '../context.ts';
import { decodeCreateBody } from '../documents.ts';
import { CONTAINER_FILTERS, selectContainers } from '../filters/containers.ts';
import { Filters } from '../filters/filters.ts';
import { parseGoInteger } from '../query.ts';
import type { Route } from '../router.ts';
import { checkContentType, readText, requireJson } from '../wire/body.ts';
import { containerUpdateOf, UPDATE_REQUEST } from '../wire/container-update.ts';
import { inspectDocument } from '../wire/container-inspect.ts';
import { listRowText } from '../wire/container-list.ts';
import { isCurrentReference, nameLookup, networkLookup } from '../wire/lookups.ts';
import { parsePlatform } from '../wire/platform.ts';

/** An id may also be the name of a link (`holder/alias`), which has a slash in it. */
export const CONTAINER_ROUTES: readonly Route[] = [
  { method: 'GET', pattern: '/containers/json', handle: list },
  { method: 'POST', pattern: '/containers/create', handle: create },
  { method: 'GET', pattern: '/containers/{id*}/json', handle: inspect },
  { method: 'POST', pattern: '/containers/{id*}/start', handle: start },
  { method: 'POST', pattern: '/containers/{id*}/stop', handle: stop },
  { method: 'POST', pattern: '/containers/{id*}/restart', handle: restart },
  { method: 'POST', pattern: '/containers/{id*}/kill', handle: kill },
  { method: 'POST', pattern: '/containers/{id*}/pause', handle: pause },
  { method: 'POST', pattern: '/containers/{id*}/unpause', handle: unpause },
  { method: 'POST', pattern: '/containers/{id*}/rename', handle: rename },
  { method: 'POST', pattern: '/containers/{id*}/update', handle: update },
  { method: 'POST', pattern: '/containers/{id*}/resize', handle: resize },
  { method: 'DELETE', pattern: '/containers/{id*}', handle: remove },
];

const NO_SIZES = { writableBytes: 0, rootBytes: 0 };

/** Longest body of `start` that dockerd lets pass (`{}`, `null` with spaces): from 1.24 it takes no HostConfig there. */
const MAX_START_BODY_BYTES = 7;

async function list({ engine, query, version, clock, reply }: Context): Promise<void> {
  const filters = Filters.from(query, CONTAINER_FILTERS);
  const limit = query.integer('limit') ?? 0;
  const views = selectContainers(engine, filters, { all: query.boolean('all'), limit: limit > 0 ? limit : null });
  const facts = {
    version,
    now: clock.now(),
    findNetwork: networkLookup(engine),
    isCurrentReference: isCurrentReference(engine),
    linkNames: engine.containers.linkNames(),
  };
  const withSizes = query.boolean('size');
  const rows = await Promise.all(
    views.map(async (view) => {
      // One that is removed while we measure has none, as dockerd has it.
      const sizes = withSizes ? await engine.containers.sizes(view.id).catch(() => NO_SIZES) : null;
      return listRowText(view, { ...facts, sizes });
    }),
  );
  reply.send(200, `[${rows.join(',')}]\n`);
}

async function create(context: Context): Promise<void> {
  const { engine, query, version, reply, body } = context;
  checkContentType(context);
  const text = await readText(body);
  const platform = version.before('1.41') ? null : parsePlatform(query.text('platform'));
  const order = decodeCreateBody(text, version, platform);
  const { id, warnings } = await engine.containers.create({
    name: query.textOrNull('name'),
    spec: order.spec,
    frontDocument: order.frontDocument,
  });
  reply.json(201, { Id: id, Warnings: [...order.warnings, ...warnings] });
}

async function inspect(context: Context): Promise<void> {
  const { engine, query, version, reply } = context;
  const view = engine.containers.get(param(context, 'id'));
  const document = inspectDocument(view, {
    version,
    findNetwork: networkLookup(engine),
    nameOf: nameLookup(engine),
    storage: await engine.containers.describeStorage(view.id),
    sizes: query.boolean('size') ? await engine.containers.sizes(view.id) : null,
  });
  reply.json(200, document);
}

async function start(context: Context): Promise<void> {
  const { engine, query, reply, body } = context;
  const text = await readText(body);
  if (text.length > MAX_START_BODY_BYTES) {
    throw new InvalidArgumentError(
      'starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24',
    );
  }
  const hasStarted = await engine.containers.start(param(context, 'id'), {
    name: query.text('checkpoint'),
    directory: query.text('checkpoint-dir'),
  });
  reply.send(hasStarted ? 204 : 304);
}

async function stop(context: Context): Promise<void> {
  const hasStopped = await context.engine.containers.stop(param(context, 'id'), stopOptions(context));
  context.reply.send(hasStopped ? 204 : 304);
}

async function restart(context: Context): Promise<void> {
  await context.engine.containers.restart(param(context, 'id'), stopOptions(context));
  context.reply.send(204);
}

function stopOptions({ query, version }: Context): {
  readonly signal: string | null;
  readonly timeoutSeconds: number | null;
} {
  const signal = version.before('1.42') ? null : query.textOrNull('signal');
  return { signal, timeoutSeconds: query.integer('t') };
}

async function kill(context: Context): Promise<void> {
  await context.engine.containers.kill(param(context, 'id'), context.query.textOrNull('signal') ?? 'SIGKILL');
  context.reply.send(204);
}

async function pause(context: Context): Promise<void> {
  await context.engine.containers.pause(param(context, 'id'));
  context.reply.send(204);
}

async function unpause(context: Context): Promise<void> {
  await context.engine.containers.unpause(param(context, 'id'));
  context.reply.send(204);
}

async function update(context: Context): Promise<void> {
  const change = containerUpdateOf(await requireJson(context, UPDATE_REQUEST), context.version);
  const { warnings } = await context.engine.containers.update(param(context, 'id'), change);
  context.reply.json(200, { Warnings: warnings.length === 0 ? null : warnings });
}

async function rename(context: Context): Promise<void> {
  await context.engine.containers.rename(param(context, 'id'), context.query.text('name'));
  context.reply.send(204);
}

async function resize(context: Context): Promise<void> {
  await context.engine.containers.resize(param(context, 'id'), sizeOfQuery(context));
  context.reply.send(200);
}

/** `h` and `w`, of containers and execs; both must be numbers. */
export function sizeOfQuery({ query }: Context): { readonly height: number; readonly width: number } {
  return { height: parseGoInteger(query.text('h')), width: parseGoInteger(query.text('w')) };
}

async function remove(context: Context): Promise<void> {
  const { engine, query, reply } = context;
  if (query.boolean('link')) engine.containers.removeLink(param(context, 'id'));
  else
    await engine.containers.remove(param(context, 'id'), {
      force: query.boolean('force'),
      volumes: query.boolean('v'),
    });
  reply.send(204);
}
