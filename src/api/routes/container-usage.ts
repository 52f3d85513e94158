/** What a container does at this moment: its use of the machine, and its processes. */
import { InvalidArgumentError } from '../../base/errors.ts';
import type { ContainerUsage } from '../../engine/index.ts';
import { param, type Context } from '../context.ts';
import type { Route } from '../router.ts';
import { statsText, type StatsOf } from '../wire/stats.ts';

export const CONTAINER_USAGE_ROUTES: readonly Route[] = [
  { method: 'GET', pattern: '/containers/{id*}/stats', handle: stats },
  { method: 'GET', pattern: '/containers/{id*}/top', handle: top },
];

async function stats(context: Context): Promise<void> {
  const { engine, query, version, reply, signal } = context;
  const follows = query.boolean('stream', true);
  const once = version.atLeast('1.41') && query.boolean('one-shot');
  if (follows && once) throw new InvalidArgumentError('cannot have stream=true and one-shot=true');
  const { id, name } = engine.containers.get(param(context, 'id'));
  if (follows) {
    await stream(context, { id, name });
    return;
  }
  const pair = once
    ? { current: await engine.containers.usage(id), previous: null }
    : await engine.containers.usagePair(id, signal);
  reply.send(200, `${statsText({ id, name }, pair?.current ?? null, pair?.previous ?? null)}\n`);
}

/** A document a second, each with the one before as its previous; the first one has none. */
async function stream({ engine, reply, signal }: Context, of: StatsOf): Promise<void> {
  const samples = engine.containers.followUsage(of.id, signal);
  const body = reply.stream(200, 'application/json');
  let previous: ContainerUsage | null = null;
  for await (const current of samples) {
    await body.write(Buffer.from(`${statsText(of, current, previous)}\n`));
    previous = current;
  }
  body.end();
}

async function top(context: Context): Promise<void> {
  const { engine, query, reply, signal } = context;
  const { titles, rows } = await engine.containers.top(param(context, 'id'), query.text('ps_args'), signal);
  reply.json(200, { Processes: rows, Titles: titles });
}
