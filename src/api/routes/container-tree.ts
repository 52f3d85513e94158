/** What a container's files became: commit, export, diff. */
import type { JsonValue } from '../../base/json.ts';
import type { CommitOptions, ImageRunConfig, TreeChange } from '../../engine/index.ts';
import { param, type Context } from '../context.ts';
import type { Route } from '../router.ts';
import { checkContentType, parseJson, readText } from '../wire/body.ts';
import { CONFIG_FIELD_NAMES, CONTAINER_CONFIG, CREATE_REQUEST } from '../wire/container-config.ts';
import { decodeAs, encodeAs } from '../wire/go-struct.ts';

export const CONTAINER_TREE_ROUTES: readonly Route[] = [
  { method: 'POST', pattern: '/commit', handle: commit },
  { method: 'GET', pattern: '/containers/{id*}/export', handle: exportTree },
  { method: 'GET', pattern: '/containers/{id*}/changes', handle: changes },
];

async function commit(context: Context): Promise<void> {
  const { engine, query, reply, signal } = context;
  const id = await engine.containers.commit(query.text('container'), {
    repository: query.textOrNull('repo'),
    tag: query.textOrNull('tag'),
    author: query.text('author'),
    // `m` is what the client of YaST says.
    comment: query.textOrNull('comment') ?? query.text('m'),
    pause: query.text('pause') === '' || query.boolean('pause'),
    changes: query.all('changes'),
    config: await configOf(context),
    signal,
  });
  reply.json(201, { Id: id });
}

/** Null when the body says nothing. */
async function configOf(context: Context): Promise<CommitOptions['config']> {
  checkContentType(context);
  const text = await readText(context.body);
  if (text.trim() === '') return null;
  const {
    HostConfig: _host,
    NetworkingConfig: _networking,
    ...config
  } = decodeAs(CREATE_REQUEST, parseJson(text) ?? {});
  if (!Object.keys(config).some((name) => CONFIG_FIELD_NAMES.has(name))) return null;
  return encodeAs(CONTAINER_CONFIG, config) as ImageRunConfig;
}

/** What goes wrong after the first byte cuts the connection: a tar has no place for an error. */
async function exportTree(context: Context): Promise<void> {
  const { engine, reply, signal } = context;
  const chunks = engine.containers.export(param(context, 'id'), signal)[Symbol.asyncIterator]();
  const first = await chunks.next();
  const stream = reply.stream(200, 'application/octet-stream');
  try {
    for (let each = first; each.done !== true; each = await chunks.next()) await stream.write(each.value);
  } finally {
    await chunks.return?.();
  }
  stream.end();
}

const KINDS: Readonly<Record<TreeChange['kind'], number>> = { modified: 0, added: 1, deleted: 2 };

async function changes(context: Context): Promise<void> {
  const { engine, reply, signal } = context;
  const found = await engine.containers.changes(param(context, 'id'), signal);
  const rows: JsonValue[] = found.map(({ path, kind }) => ({ Path: path, Kind: KINDS[kind] }));
  reply.json(200, rows.length === 0 ? null : rows);
}
