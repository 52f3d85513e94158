import { describe, expect, it } from 'vitest';
import { InternalError } from '../../../../../src/base/errors.ts';
import { ContainersFixture } from '../../../../support/containers-fixture.ts';

describe('a start', () => {
  it('completes the network while the runtime makes the process, and before that runs', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create();
    await engine.room.start(id);
    expect(stepsOf(engine, id)).toEqual(['networks.prepare', `create ${id}`, 'networks.complete', `start ${id}`]);
    expect(engine.get(id).endpoints).toHaveLength(1);
  });

  it('completes it first for a runtime that reads it', async () => {
    await using engine = await ContainersFixture.open();
    engine.runtime.readsNetwork = true;
    const id = await engine.create();
    await engine.room.start(id);
    expect(stepsOf(engine, id)).toEqual(['networks.prepare', 'networks.complete', `create ${id}`, `start ${id}`]);
  });

  it('takes the process away whose network cannot be completed, and tells why', async () => {
    await using engine = await ContainersFixture.open();
    const before = await engine.create();
    const since = engine.script.calls.length;
    await engine.room.start(before);
    await engine.room.remove(before, { force: true, volumes: true });
    const nth = engine.script.calls.slice(since).indexOf('networks.complete') + 1;
    const id = await engine.create();
    const taken = new InternalError('port is already allocated');
    engine.script.failNth(nth, taken);
    await expect(engine.room.start(id)).rejects.toBe(taken);
    expect(engine.script.calls).toContain(`create ${id}`);
    expect(engine.script.calls).not.toContain(`start ${id}`);
    expect(engine.leftovers()).toEqual([]);
    expect(engine.status(id)).toBe('created');
  });
});

/** What a start does of these, in order. */
function stepsOf({ script }: ContainersFixture, id: string): readonly string[] {
  const steps = ['networks.prepare', 'networks.complete', `create ${id}`, `start ${id}`];
  return script.calls.filter((call) => steps.includes(call));
}
