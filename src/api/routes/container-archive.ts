/** `docker cp`: what is at a path of a container, a tar of it, and a tar into it. */
import { InvalidArgumentError } from '../../base/errors.ts';
import { param, type Context } from '../context.ts';
import type { Route } from '../router.ts';
import { pathStatHeader } from '../wire/path-stat.ts';

const STAT_FIELD = 'X-Docker-Container-Path-Stat';

export const CONTAINER_ARCHIVE_ROUTES: readonly Route[] = [
  { method: 'HEAD', pattern: '/containers/{id*}/archive', handle: stat },
  { method: 'GET', pattern: '/containers/{id*}/archive', handle: archive },
  { method: 'PUT', pattern: '/containers/{id*}/archive', handle: extract },
];

async function stat(context: Context): Promise<void> {
  const { engine, reply, signal } = context;
  const found = await engine.containers.statPath(param(context, 'id'), pathOf(context), signal);
  reply.fields.set(STAT_FIELD, pathStatHeader(found));
  reply.send(200);
}

/** What goes wrong after the first byte cuts the connection: a tar has no place for an error. */
async function archive(context: Context): Promise<void> {
  const { engine, reply, signal } = context;
  const found = await engine.containers.archivePath(param(context, 'id'), pathOf(context), signal);
  reply.fields.set(STAT_FIELD, pathStatHeader(found.stat));
  const stream = reply.stream(200, 'application/x-tar');
  for await (const chunk of found.chunks) await stream.write(chunk);
  stream.end();
}

async function extract(context: Context): Promise<void> {
  const { engine, query, body, reply, signal } = context;
  await engine.containers.extractTo(param(context, 'id'), pathOf(context), {
    tar: body,
    options: { keepsKinds: query.boolean('noOverwriteDirNonDir'), toUser: query.boolean('copyUIDGID'), signal },
  });
  reply.send(200);
}

/** dockerd's own words, as they are. */
function pathOf({ query }: Context): string {
  const path = query.text('path');
  if (path === '') throw new InvalidArgumentError('bad parameter: pathcannot be empty');
  return path;
}
