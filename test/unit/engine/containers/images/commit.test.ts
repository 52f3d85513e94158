import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConflictError, NotFoundError } from '../../../../../src/base/errors.ts';
import type { ContainerId } from '../../../../../src/base/ids.ts';
import type { CommitOptions } from '../../../../../src/engine/containers/types.ts';
import { ContainersFixture } from '../../../../support/containers-fixture.ts';

const OPTIONS: CommitOptions = {
  repository: 'made',
  tag: null,
  author: '',
  comment: 'why',
  pause: true,
  changes: [],
  config: null,
};

let engine: ContainersFixture;
beforeEach(async () => {
  engine = await ContainersFixture.open();
});
afterEach(async () => {
  await engine[Symbol.asyncDispose]();
});

const actions = (): readonly string[] => engine.events.map(({ action }) => action);

describe('commit', () => {
  it('lets nothing run while the tree is read, and no longer', async () => {
    const id = await engine.run({}, 'box');
    let seen: string | null = null;
    engine.onTake = async () => void (seen = engine.status(id));
    engine.events.length = 0;
    await engine.room.commit('box', OPTIONS);
    expect(seen).toBe('paused');
    expect(engine.status(id)).toBe('running');
    expect(actions()).toEqual(['pause', 'unpause', 'commit']);
    expect(engine.events.at(-1)?.attributes).toMatchObject({ comment: 'why', imageRef: 'busybox:latest', name: 'box' });
  });

  it.each([
    ['without a pause', { pause: false }, async (id: ContainerId) => engine.room.start(id)],
    ['of one that does not run', {}, async () => undefined],
    [
      'of one that is paused already',
      {},
      async (id: ContainerId) => {
        await engine.room.start(id);
        await engine.room.pause(id);
      },
    ],
  ])('stops nothing %s', async (_what, change, prepare) => {
    const id = await engine.create({}, 'box');
    await prepare(id);
    const before = engine.status(id);
    let seen: string | null = null;
    engine.onTake = async () => void (seen = engine.status(id));
    await engine.room.commit(id, { ...OPTIONS, ...change });
    expect([seen, engine.status(id)]).toEqual([before, before]);
  });

  it('lets go on what it has stopped when it fails', async () => {
    const id = await engine.run({}, 'box');
    engine.onTake = () => Promise.reject(new Error('disk full'));
    await expect(engine.room.commit(id, OPTIONS)).rejects.toThrow('disk full');
    expect(engine.status(id)).toBe('running');
    expect(actions()).not.toContain('commit');
  });

  it('reads as it is what cannot be paused, and says so', async () => {
    const id = await engine.run({}, 'box');
    engine.script.failNth(2, new Error('no freezer'));
    await engine.room.commit(id, OPTIONS);
    expect(engine.complaints.join()).toContain('could not be paused for its commit');
    expect(actions()).toContain('commit');
  });

  it('lets the user’s own pause stand that came meanwhile', async () => {
    const id = await engine.run({}, 'box');
    engine.onTake = async () => {
      await engine.room.unpause(id);
      await engine.room.pause(id);
    };
    await engine.room.commit(id, OPTIONS);
    expect(engine.status(id)).toBe('paused');
  });

  it('makes an image of what was killed in its pause, and nobody has been told yet', async () => {
    const id = await engine.run({}, 'box');
    let refusals = 0;
    engine.runtime.resume = async () => {
      refusals += 1;
      engine.monitor.taskOf(id).end({ exitCode: 137 });
      throw new Error('crun: no such process');
    };
    await engine.room.commit(id, OPTIONS);
    expect(refusals).toBe(1);
    await engine.until(() => engine.status(id) === 'exited');
    expect(actions()).toContain('commit');
  });

  it('tells of a runtime that cannot let go on', async () => {
    const id = await engine.run({}, 'box');
    engine.onTake = async () => engine.script.failNth(1, new Error('no freezer'));
    await expect(engine.room.commit(id, OPTIONS)).rejects.toThrow('no freezer');
  });

  it('is done one at a time', async () => {
    const id = await engine.run({}, 'box');
    const seen: (string | null)[] = [];
    engine.onTake = async () => {
      await engine.settle();
      seen.push(engine.status(id));
    };
    await Promise.all([engine.room.commit(id, OPTIONS), engine.room.commit(id, OPTIONS)]);
    expect(seen).toEqual(['paused', 'paused']);
    expect(engine.status(id)).toBe('running');
  });

  it('makes no image of what was removed meanwhile', async () => {
    const id = await engine.run({}, 'box');
    engine.onTake = async () => engine.room.remove(id, { force: true, volumes: false });
    await expect(engine.room.commit(id, OPTIONS)).rejects.toThrow(NotFoundError);
    expect(actions()).not.toContain('commit');
  });

  it('knows its containers', async () => {
    await expect(engine.room.commit('no', OPTIONS)).rejects.toThrow('No such container: no');
    await expect(engine.room.changes('no')).rejects.toThrow('No such container: no');
    expect(() => engine.room.export('no', new AbortController().signal)).toThrow('No such container: no');
  });

  it('refuses what is being removed, or could not be', async () => {
    const id = await engine.create({}, 'box');
    const row = { status: 'dead', restartCount: 0, lastExit: null, error: 'x' } as const;
    engine.script.failNth(2);
    await engine.room.remove(id, { force: true, volumes: false }).catch(() => undefined);
    expect(engine.status(id)).toBe(row.status);
    await expect(engine.room.commit(id, OPTIONS)).rejects.toThrow(ConflictError);
    await expect(engine.room.commit(id, OPTIONS)).rejects.toThrow(`You cannot commit container ${id} which is Dead`);
    expect(() => engine.room.export(id, new AbortController().signal)).toThrow(
      `You cannot export container ${id} which is Dead`,
    );
  });

  it('tells of an export once it has begun', async () => {
    const id = await engine.create({}, 'box');
    engine.events.length = 0;
    const chunks = await Array.fromAsync(engine.room.export(id, new AbortController().signal));
    expect(Buffer.concat(chunks).toString()).toBe('tar');
    expect(actions()).toEqual(['export']);
  });
});
