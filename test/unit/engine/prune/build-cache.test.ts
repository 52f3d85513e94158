/** The build cache as one more thing that nobody uses. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { EngineEvent } from '../../../../src/engine/events/types.ts';
import { PRUNE_NOTHING, type PruneRequest } from '../../../../src/engine/prune/types.ts';
import { cacheEntry } from '../../../support/fake-builds.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { FakeEngine } from '../../../support/fake-engine.ts';

const REQUEST: PruneRequest = { ...PRUNE_NOTHING, types: ['build-cache'] };
const RULES = { all: true, keepBytes: null, maxUsedBytes: null, minFreeBytes: null, filters: {} };
const { signal } = new AbortController();

let engine: FakeEngine;
let announced: Omit<EngineEvent, 'time'>[];
beforeEach(() => {
  engine = new FakeEngine(new FakeClock());
  announced = [];
  engine.events.listen(({ type, action, actorId, attributes }) => {
    announced.push({ type, action, actorId, attributes });
  });
  engine.build.entries = [
    cacheEntry('free'),
    cacheEntry('shared', { shared: true, sizeBytes: 5 }),
    cacheEntry('busy', { inUse: true }),
  ];
});

describe('the build cache', () => {
  it('is shown and then taken by the same rules', async () => {
    const preview = await engine.prune.preview(REQUEST);
    expect(preview).toEqual({
      victims: [{ type: 'build-cache', id: 'free', name: 'RUN true', bytes: 1000 }],
      reclaimableBytes: 1000,
    });
    expect(engine.build.entries).toHaveLength(3);
    const told: string[] = [];
    const result = await engine.prune.run(REQUEST, signal, { onRemoved: ({ id }) => void told.push(id) });
    expect(result).toEqual({ removed: preview.victims, imageRemovals: [], reclaimedBytes: 1000 });
    expect(told).toEqual(['free']);
    expect(announced).toEqual([{ type: 'builder', action: 'prune', actorId: '', attributes: { reclaimed: '1000' } }]);
  });

  it('does not count what images hold too', async () => {
    const { victims } = await engine.prune.preview({ ...REQUEST, buildCache: RULES });
    expect(victims.map(({ id, bytes }) => [id, bytes])).toEqual([
      ['free', 1000],
      ['shared', 0],
    ]);
  });

  it('hands its own rules on', async () => {
    const buildCache = { ...RULES, keepBytes: 1, maxUsedBytes: 2, minFreeBytes: 3, filters: { type: ['regular'] } };
    await engine.prune.run({ ...REQUEST, until: '24h', buildCache }, signal);
    expect(engine.build.prunes).toEqual([{ ...buildCache, until: '24h', filters: new Map([['type', ['regular']]]) }]);
  });

  it('has no labels: who asks for one gets nothing', async () => {
    await engine.prune.run({ ...REQUEST, labels: ['a'] }, signal);
    expect(engine.build.prunes).toEqual([]);
    expect(announced).toHaveLength(1);
    await engine.prune.run({ ...REQUEST, withoutLabels: ['a'] }, signal);
    expect(engine.build.prunes).toHaveLength(1);
  });

  it('stays when the run was ended, and when it was not asked for', async () => {
    await expect(engine.prune.run(REQUEST, AbortSignal.abort(new Error('ended')))).rejects.toThrow('ended');
    await engine.prune.run({ ...PRUNE_NOTHING, types: ['container', 'image'] }, signal);
    expect(engine.build.prunes).toEqual([]);
  });
});
