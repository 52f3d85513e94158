import { InvalidArgumentError } from '../../base/errors.ts';
import type { EngineEvent } from '../../engine/index.ts';
import type { ApiVersion } from '../compat/version.ts';
import type { Context } from '../context.ts';
import { infoOf } from '../documents.ts';
import { Filters } from '../filters/filters.ts';
import { eventMatcher, EVENT_FILTERS } from '../filters/events.ts';
import type { Route } from '../router.ts';
import { AUTH_CONFIG, registryAuthOf } from '../wire/auth.ts';
import { requireJson } from '../wire/body.ts';
import { diskUsageDocument } from '../wire/disk-usage.ts';
import { eventLine } from '../wire/event.ts';
import { versionDocument } from '../wire/system.ts';

export const SYSTEM_ROUTES: readonly Route[] = [
  { method: 'GET', pattern: '/_ping', handle: ping },
  { method: 'HEAD', pattern: '/_ping', handle: pingHead },
  { method: 'GET', pattern: '/version', handle: version },
  { method: 'GET', pattern: '/info', handle: info },
  { method: 'POST', pattern: '/auth', handle: auth },
  { method: 'GET', pattern: '/events', handle: events },
  { method: 'GET', pattern: '/system/df', handle: diskUsage },
];

function ping({ reply }: Context): void {
  setPingFields(reply);
  reply.send(200, 'OK', 'text/plain; charset=utf-8');
}

/** Docker says `Content-Length: 0` here, and not the length of what GET would say. */
function pingHead({ reply }: Context): void {
  setPingFields(reply);
  reply.send(200, '', 'text/plain; charset=utf-8');
}

function setPingFields(reply: Context['reply']): void {
  // "2" would promise BuildKit's /session and /grpc.
  reply.fields.set('Builder-Version', '1');
  reply.fields.set('Swarm', 'inactive');
  reply.fields.set('Cache-Control', 'no-cache, no-store, must-revalidate');
  reply.fields.set('Pragma', 'no-cache');
}

async function version({ engine, build, reply }: Context): Promise<void> {
  reply.json(200, versionDocument(await engine.system.versions(), build));
}

async function info(context: Context): Promise<void> {
  context.reply.json(200, await infoOf(context, context.version));
}

async function auth(context: Context): Promise<void> {
  const { engine, reply, signal } = context;
  const config = await requireJson(context, AUTH_CONFIG);
  const token = await engine.images.authenticate(config.serveraddress ?? '', registryAuthOf(config) ?? {}, signal);
  reply.json(200, { Status: 'Login Succeeded', IdentityToken: token });
}

async function events({ engine, query, version, reply, signal }: Context): Promise<void> {
  const filters = Filters.from(query, EVENT_FILTERS);
  const since = query.time('since');
  const until = query.time('until');
  if (since !== null && until !== null && since > until) {
    throw new InvalidArgumentError(
      `\`since\` time (${query.text('since')}) cannot be after \`until\` time (${query.text('until')})`,
    );
  }
  const isAsked = eventMatcher(filters);
  const matches = (event: EngineEvent): boolean => isAsked(event) && isKnownEvent(event, version);
  const followed = engine.events.subscribe({ since, until, matches, signal });
  const stream = reply.stream(200, 'application/json');
  for await (const event of followed) {
    await stream.write(Buffer.from(eventLine(event)));
  }
  stream.end();
}

/** Images that a commit makes are told of from 1.46 on. */
function isKnownEvent({ type, action }: EngineEvent, version: ApiVersion): boolean {
  return !(version.before('1.46') && type === 'image' && action === 'create');
}

async function diskUsage({ engine, query, version: apiVersion, clock, reply }: Context): Promise<void> {
  const types = apiVersion.before('1.42') ? [] : query.all('type');
  const unknown = types.find((type) => !['container', 'image', 'volume', 'build-cache'].includes(type));
  if (unknown !== undefined) throw new InvalidArgumentError(`unknown object type: ${unknown}`);
  reply.json(200, await diskUsageDocument(engine, { types, version: apiVersion, now: clock.now() }));
}
