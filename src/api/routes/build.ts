/** Building images. */
import { InvalidArgumentError } from '../../base/errors.ts';
import { PRUNE_NOTHING } from '../../engine/index.ts';
import type { Context } from '../context.ts';
import type { Route } from '../router.ts';
import { BuildStream } from '../stream/build-stream.ts';
import { buildRequestOf } from '../wire/build.ts';
import { cacheWishOf } from '../wire/build-cache.ts';

export const BUILD_ROUTES: readonly Route[] = [
  { method: 'POST', pattern: '/build', handle: build },
  { method: 'POST', pattern: '/build/prune', handle: prune },
  { method: 'POST', pattern: '/build/cancel', handle: cancel },
];

async function build(context: Context): Promise<void> {
  const { engine, query, version, body, reply, signal } = context;
  const request = buildRequestOf({ ...context, source: { kind: 'tar', tar: body } });
  const stream = new BuildStream(reply, { quiet: query.boolean('q'), withAux: !version.before('1.30') });
  await stream.run(async (sink) => engine.build.build(request, { sink, signal }));
}

/** What earlier builds left for later ones. */
async function prune(context: Context): Promise<void> {
  const { engine, signal, reply } = context;
  const request = { ...PRUNE_NOTHING, types: ['build-cache'], ...cacheWishOf(context) } as const;
  const { removed, reclaimedBytes } = await engine.prune.run(request, signal);
  const ids = removed.map(({ id }) => id);
  reply.json(200, { CachesDeleted: ids.length === 0 ? null : ids, SpaceReclaimed: reclaimedBytes });
}

/** A build that has ended, or never was, is cancelled too. */
function cancel({ engine, query, reply }: Context): void {
  const id = query.text('id');
  if (id === '') throw new InvalidArgumentError('build ID not provided');
  engine.build.cancel(id);
  reply.send(200);
}
