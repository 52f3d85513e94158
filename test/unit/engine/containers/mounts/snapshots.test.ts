/** When a container's snapshots are held, and that no hold outlives what is mounted. */
import { describe, expect, it } from 'vitest';
import { ContainersFixture } from '../../../../support/containers-fixture.ts';

describe('holds on snapshots', () => {
  it('begin with a start, one for the root, and end with the exit', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create();
    expect([...engine.holds]).toEqual([]);
    await engine.room.start(id);
    expect([...engine.holds]).toEqual([[id, 1]]);
    engine.monitor.taskOf(id).end({ exitCode: 0 });
    await engine.until(() => engine.status(id) === 'exited');
    await engine.settle();
    expect([...engine.holds]).toEqual([]);
  });

  it('end for what an earlier engine had mounted', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run();
    await engine.reopen();
    // The device is still switched on, and nobody holds it.
    expect([...engine.holds]).toEqual([[id, 0]]);
    engine.monitor.taskOf(id).end({ exitCode: 0 });
    await engine.until(() => engine.status(id) === 'exited');
    await engine.settle();
    expect([...engine.holds]).toEqual([]);
  });

  it('end with a removal', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run();
    await engine.room.remove(id, { force: true, volumes: false });
    expect([...engine.holds]).toEqual([]);
  });
});
