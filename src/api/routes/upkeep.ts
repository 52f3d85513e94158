/** moored's own endpoints: the collection of images, and the check of the store. */
import { formatTimestamp } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { ImageGcVictim } from '../../engine/index.ts';
import type { Context } from '../context.ts';
import type { Route } from '../router.ts';

export const UPKEEP_ROUTES: readonly Route[] = [
  { method: 'GET', pattern: '/system/gc', handle: previewGc },
  { method: 'POST', pattern: '/system/gc', handle: runGc },
  { method: 'POST', pattern: '/system/check', handle: check },
];

async function previewGc({ engine, reply }: Context): Promise<void> {
  const { victims, reclaimableBytes } = await engine.gc.preview();
  reply.json(200, { Images: victims.map(victimRow), Reclaimable: reclaimableBytes });
}

async function runGc({ engine, reply, signal }: Context): Promise<void> {
  const { removed, reclaimedBytes } = await engine.gc.run(signal);
  reply.json(200, { Images: removed.map(victimRow), SpaceReclaimed: reclaimedBytes });
}

function victimRow({ id, name, reason, lastUsedAt, bytes }: ImageGcVictim): object {
  const lastUsed = lastUsedAt === null ? null : formatTimestamp(lastUsedAt);
  return { Id: id, Name: name, Reason: reason, LastUsed: lastUsed, Size: bytes };
}

/**
 * One JSON object a line: `{"progress":…}` and `{"finding":…}` as they come, `{"report":…}` or `{"error":…}` at the end.
 * The check ends with the connection.
 */
async function check({ engine, query, reply, signal }: Context): Promise<void> {
  const [repair, deep] = [query.boolean('repair', false), query.boolean('deep', false)];
  const stream = reply.stream(200, 'application/x-ndjson');
  const line = (record: object): void => void stream.write(Buffer.from(`${JSON.stringify(record)}\n`));
  try {
    const { checked, problems } = await engine.check.run({
      repair,
      deep,
      signal,
      onProgress: (progress) => line({ progress }),
      onFinding: (finding) => line({ finding }),
    });
    line({ report: { checked, problems } });
  } catch (error) {
    line({ error: messageOf(error) });
  }
  stream.end();
}
