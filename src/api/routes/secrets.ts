/** Secrets, in swarm's words and without a swarm: `docker secret` finds what it asks for. */
import { InvalidArgumentError, NotImplementedError } from '../../base/errors.ts';
import type { SecretView } from '../../engine/index.ts';
import { param, type Context } from '../context.ts';
import { Filters } from '../filters/filters.ts';
import type { Route } from '../router.ts';
import { requireJson } from '../wire/body.ts';
import type { ValueOf } from '../wire/go-struct.ts';
import { SECRET_SPEC, secretData, secretDocument } from '../wire/secret.ts';

export const SECRET_ROUTES: readonly Route[] = [
  { method: 'GET', pattern: '/secrets', handle: list },
  { method: 'POST', pattern: '/secrets/create', handle: create },
  { method: 'GET', pattern: '/secrets/{id}', handle: inspect },
  { method: 'DELETE', pattern: '/secrets/{id}', handle: remove },
  { method: 'POST', pattern: '/secrets/{id}/update', handle: update },
];

const FILTERS = ['id', 'label', 'name', 'names'];

function list({ engine, query, reply }: Context): void {
  const filters = Filters.from(query, FILTERS);
  const secrets = engine.secrets.list().filter((secret) => matches(secret, filters));
  reply.json(200, secrets.map(secretDocument));
}

function matches({ id, name, labels }: SecretView, filters: Filters): boolean {
  return (
    filters.any('id', (wish) => id.startsWith(wish)) &&
    filters.any('name', (wish) => name.startsWith(wish)) &&
    filters.any('names', (wish) => name === wish) &&
    filters.matchLabels(labels)
  );
}

async function create(context: Context): Promise<void> {
  const request = await requireJson(context, SECRET_SPEC);
  refuseDrivers(request);
  const { id } = context.engine.secrets.create({
    name: request.Name ?? '',
    data: secretData(request.Data ?? ''),
    labels: request.Labels ?? {},
  });
  context.reply.json(201, { ID: id });
}

function inspect(context: Context): void {
  context.reply.json(200, secretDocument(context.engine.secrets.get(param(context, 'id'))));
}

function remove(context: Context): void {
  context.engine.secrets.remove(param(context, 'id'));
  context.reply.send(204);
}

/** swarm changes labels alone; here the data may change, too, since no container has it for ever. */
async function update(context: Context): Promise<void> {
  const version = versionOf(context.query.text('version'));
  const request = await requireJson(context, SECRET_SPEC);
  refuseDrivers(request);
  const ref = param(context, 'id');
  const { name } = context.engine.secrets.get(ref);
  if (request.Name !== undefined && request.Name !== '' && request.Name !== name) {
    throw new InvalidArgumentError('rpc error: code = InvalidArgument desc = only updates to Labels are allowed');
  }
  const data = request.Data === undefined || request.Data === null ? null : secretData(request.Data);
  context.engine.secrets.update(ref, { version, labels: request.Labels ?? {}, data });
  context.reply.send(200);
}

function versionOf(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError(`invalid secret version '${text}'`);
  return Number(text);
}

function refuseDrivers({ Driver, Templating }: ValueOf<typeof SECRET_SPEC>): void {
  if ((Driver?.Name ?? '') !== '')
    throw new NotImplementedError('drivers of secrets are not supported: the engine keeps them');
  if ((Templating?.Name ?? '') !== '') throw new NotImplementedError('templates in secrets are not supported');
}
