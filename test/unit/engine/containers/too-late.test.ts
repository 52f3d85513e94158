import { describe, expect, it } from 'vitest';
import { ContainersFixture } from '../../../support/containers-fixture.ts';

describe('a process that has just ended, of which nobody has been told yet', () => {
  it('is killed without an error', async () => {
    await using fixture = await ContainersFixture.open();
    const id = await fixture.run();
    const killed = fixture.room.kill(id, 'KILL');
    fixture.monitor.taskOf(id).end({ exitCode: 0 });
    await killed;
    await fixture.until(() => fixture.status(id) === 'exited');
  });

  it('is not running to a pause, whatever the runtime says', async () => {
    await using fixture = await ContainersFixture.open();
    const id = await fixture.run();
    fixture.script.failNth(1, new Error('crun: no such process'));
    const paused = fixture.room.pause(id);
    fixture.monitor.taskOf(id).end();
    await expect(paused).rejects.toThrow(`container ${id} is not running`);
    await fixture.until(() => fixture.status(id) === 'exited');
  });

  it('is another matter than a runtime that cannot pause', async () => {
    await using fixture = await ContainersFixture.open();
    const id = await fixture.run();
    fixture.script.failNth(1, new Error('no freezer'));
    await expect(fixture.room.pause(id)).rejects.toThrow('no freezer');
    expect(fixture.status(id)).toBe('running');
  });
});
