import { describe, expect, it } from 'vitest';
import type { ContainerId } from '../../../../src/base/ids.ts';
import { ContainersFixture, exampleExec } from '../../../support/containers-fixture.ts';

const OWN_WAY = { signal: null, timeoutSeconds: null } as const;
const KEEP = { force: false, volumes: false } as const;

/** A container whose removal failed. */
async function dead(fixture: ContainersFixture): Promise<ContainerId> {
  const id = await fixture.create({}, 'box');
  const before = fixture.script.calls.length;
  // The first call that a removal cannot do without.
  await fixture.room.remove(id, KEEP).catch(() => undefined);
  const calls = fixture.script.calls.slice(before);
  const again = await fixture.create({}, 'box-2');
  fixture.script.failNth(calls.indexOf('storage.remove') + 1, new Error('device or resource busy'));
  await expect(fixture.room.remove(again, KEEP)).rejects.toThrow('device or resource busy');
  expect(fixture.get(again).state).toMatchObject({ status: 'dead', error: 'device or resource busy' });
  return again;
}

describe('a dead container', () => {
  it('can be removed, and nothing else', async () => {
    await using fixture = await ContainersFixture.open();
    const id = await dead(fixture);
    const { room } = fixture;
    await expect(room.start(id)).rejects.toThrow('container is marked for removal and cannot be started');
    await expect(room.restart(id, OWN_WAY)).rejects.toThrow('container is marked for removal and cannot be started');
    expect(await room.stop(id, OWN_WAY)).toBe(false);
    await expect(room.kill(id, 'KILL')).rejects.toThrow('is not running');
    await expect(room.pause(id)).rejects.toThrow('is not running');
    await expect(room.unpause(id)).rejects.toThrow('is not paused');
    await expect(room.createExec(id, exampleExec())).rejects.toThrow('is not running');
    expect(await room.wait(id, 'not-running', new AbortController().signal).result).toMatchObject({ exitCode: 0 });
    expect(fixture.status(id)).toBe('dead');
    await room.remove(id, KEEP);
    expect(fixture.belongings()).toEqual([]);
  });

  it('tells who waits for its removal that it failed', async () => {
    await using fixture = await ContainersFixture.open();
    const id = await fixture.create();
    const { result } = fixture.room.wait(id, 'removed', new AbortController().signal);
    fixture.script.failFrom(1, new Error('busy'));
    await expect(fixture.room.remove(id, KEEP)).rejects.toThrow('busy');
    fixture.script.heal();
    expect((await result).error).toContain('busy');
  });

  it('is taken away by the next engine', async () => {
    await using fixture = await ContainersFixture.open();
    await dead(fixture);
    await fixture.reopen();
    expect(fixture.belongings()).toEqual([]);
  });
});

describe('an engine that comes up on a full disk', () => {
  it('knows what has ended, and goes on', async () => {
    await using fixture = await ContainersFixture.open();
    const id = await fixture.run({}, 'gone');
    await fixture.room.close({ stopContainers: false });
    fixture.monitor.forgetAll();
    const full = new Error('database or disk is full');
    const { step } = fixture.script;
    fixture.script.step = (name) => {
      step.call(fixture.script, name);
      if (name === 'db.run') throw full;
    };
    await fixture.reopen();
    expect(fixture.get(id).state).toMatchObject({ status: 'exited', lastExit: { exitCode: 255 } });
    expect(fixture.complaints).toContain('an exit could not be written down');
    fixture.script.step = step;
    await fixture.room.start(id);
    expect(fixture.status(id)).toBe('running');
  });
});
