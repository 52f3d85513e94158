import { describe, expect, it, vi } from 'vitest';
import { newId, type ContainerId } from '../../../../src/base/ids.ts';
import { encodeState, decodeRow, type StateDocument } from '../../../../src/engine/containers/record.ts';
import { createContainerRows } from '../../../../src/engine/state/containers.ts';
import type { RestartPolicy } from '../../../../src/engine/containers/spec-types.ts';
import { ContainersFixture } from '../../../support/containers-fixture.ts';

const CANNOT_READ = 'a container cannot be read from the state file and is left alone';
const OWN = { signal: null, timeoutSeconds: null };

/** Writes what a daemon that is killed in the middle of something leaves in the row. */
function rewrite(engine: ContainersFixture, id: ContainerId, change: Partial<StateDocument>): void {
  const rows = createContainerRows(engine.db);
  const row = rows.all().find((one) => one.id === id);
  if (row === undefined) throw new Error('no such row');
  rows.setState(id, encodeState({ ...decodeRow(row).live, ...change }));
}

function policy(
  name: RestartPolicy['name'],
  maximumRetryCount = 0,
): { readonly host: { restartPolicy: RestartPolicy } } {
  return { host: { restartPolicy: { name, maximumRetryCount } } };
}

describe('a daemon that comes up again', () => {
  it('adopts what runs: names, events, exits and networks go on', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run({}, 'box');
    const before = engine.get(id);
    await engine.reopen();
    expect(engine.get('box')).toEqual(before);
    expect([...engine.sandboxes.keys()]).toEqual([id]);
    await expect(engine.create({}, 'box')).rejects.toThrow('already in use');
    engine.monitor.taskOf(id).end({ exitCode: 6 });
    await engine.until(() => engine.status(id) === 'exited');
    await engine.settle();
    expect(engine.get(id).state).toMatchObject({ lastExit: { exitCode: 6 } });
    expect(engine.leftovers()).toEqual([]);
  });

  it('learns of an exit that happened meanwhile, with its code and time', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run();
    const rows = createContainerRows(engine.db);
    const live = rows.all()[0]?.state ?? '';
    const task = engine.monitor.taskOf(id);
    task.onDelete = () => undefined;
    const exitedAt = engine.clock.now();
    task.end({ exitCode: 7 });
    await engine.settle();
    // As if the first daemon had not lived to see it.
    rows.setState(id, live);
    await engine.clock.advance(5000);
    await engine.reopen();
    await engine.until(() => engine.status(id) === 'exited');
    expect(engine.get(id).state).toMatchObject({ lastExit: { exitCode: 7, finishedAt: exitedAt } });
  });

  it('gives 255 to a process that left no trace, and takes its network and mounts away', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run({ host: { ipcMode: { kind: 'shareable' } } });
    await engine.monitor.taskOf(id).delete();
    await engine.reopen();
    expect(engine.get(id).state).toMatchObject({ status: 'exited', lastExit: { exitCode: 255 } });
    expect(engine.leftovers()).toEqual([]);
    expect(await engine.room.start(id)).toBe(true);
  });

  it('leaves a container alone that it cannot read, tells of it, and comes up with the others', async () => {
    await using engine = await ContainersFixture.open();
    const damaged = await engine.run({ volumes: ['/cache'] }, 'damaged');
    const lost = await engine.create({}, 'lost');
    const sound = await engine.run({}, 'sound');
    const rows = createContainerRows(engine.db);
    const before = engine.belongings().filter((one) => !one.startsWith('container '));
    rows.setDocument(damaged, '{"spec":');
    rows.setState(lost, 'null');
    await engine.reopen();
    expect(engine.room.list().map(({ id }) => id)).toEqual([sound]);
    expect(engine.complaints).toEqual([CANNOT_READ, CANNOT_READ]);
    expect(engine.belongings().filter((one) => !one.startsWith('container '))).toEqual(before);
    expect([...engine.sandboxes.keys()].sort()).toEqual([damaged, sound].sort());
    expect(engine.monitor.held).toContain(damaged);
    await expect(engine.create({}, 'damaged')).rejects.toThrow(`already in use by container "${damaged}"`);
    await expect(engine.room.start('damaged')).rejects.toThrow('No such container: damaged');
  });

  it('takes a half-made container back', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create({ volumes: ['/cache'] }, 'box');
    rewrite(engine, id, { phase: 'creating' });
    await engine.reopen();
    expect(engine.belongings()).toEqual([]);
    await engine.create({}, 'box');
  });

  it('removes snapshots of containers that there are not', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create();
    engine.snapshots.add(newId<ContainerId>());
    engine.snapshots.add('extract-of-somebody-else');
    await engine.reopen();
    expect([...engine.snapshots]).toEqual([id, 'extract-of-somebody-else']);
  });

  it('takes a half-done start for one that did not happen, and ends its process', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run();
    const task = engine.monitor.taskOf(id);
    rewrite(engine, id, { phase: 'starting', state: { status: 'created', error: '', exitCode: 0 }, hasStarted: false });
    await engine.reopen();
    expect(task.signals).toEqual([9]);
    expect(engine.get(id).state).toMatchObject({ status: 'created', exitCode: 128 });
    expect(engine.leftovers()).toEqual([]);
    expect(await engine.room.start(id)).toBe(true);
  });

  it.each([
    [
      'a half-done start',
      { phase: 'starting', state: { status: 'created', error: '', exitCode: 0 }, hasStarted: false },
    ],
    ['a start that failed', { state: { status: 'created', error: 'full', exitCode: 128 }, hasStarted: false }],
  ] satisfies [string, Partial<StateDocument>][])(
    'takes away with the container what %s left, where it could not be taken away before',
    async (_, state) => {
      await using engine = await ContainersFixture.open();
      const id = await engine.run();
      rewrite(engine, id, state);
      vi.spyOn(engine.monitor.taskOf(id), 'delete').mockRejectedValueOnce(new Error('the runtime is busy'));
      await engine.reopen();
      expect(engine.complaints).toHaveLength(1);
      await engine.room.remove(id, { force: false, volumes: false });
      expect(engine.monitor.held).toEqual([]);
      expect(engine.leftovers()).toEqual([]);
    },
  );

  it('goes on with a removal', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create();
    rewrite(engine, id, { state: { status: 'removing', restartCount: 0, lastExit: null } });
    await engine.reopen();
    expect(engine.belongings()).toEqual([]);
  });

  it('takes anonymous volumes along where the removal had begun to', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create({ volumes: ['/cache'] });
    rewrite(engine, id, { state: { status: 'removing', restartCount: 0, lastExit: null }, takesVolumes: true });
    await engine.reopen();
    expect(engine.belongings()).toEqual([]);
  });

  it('takes an ended --rm container away', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run({ volumes: ['/cache'], host: { autoRemove: true } });
    await engine.room.close({ stopContainers: true });
    expect(engine.status(id)).toBe('exited');
    await engine.reopen();
    expect(engine.belongings()).toEqual([]);
  });

  it.each([
    ['always', true],
    ['unless-stopped', false],
    ['on-failure', false],
    ['no', false],
  ] as const)('with policy %s starts what a user had stopped: %s', async (name, expected) => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run(policy(name));
    await engine.room.stop(id, OWN);
    await engine.reopen();
    await engine.settle();
    expect(engine.status(id)).toBe(expected ? 'running' : 'exited');
  });

  it.each([
    ['always', true],
    ['unless-stopped', true],
    ['on-failure', true],
    ['no', false],
  ] as const)('with policy %s starts what was lost: %s', async (name, expected) => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run(policy(name));
    await engine.monitor.taskOf(id).delete();
    await engine.reopen();
    await engine.settle();
    expect(engine.status(id)).toBe(expected ? 'running' : 'exited');
  });

  it('starts nothing that was never started, and goes on with a planned restart', async () => {
    await using engine = await ContainersFixture.open();
    const idle = await engine.create(policy('always'));
    const id = await engine.run(policy('always'));
    engine.monitor.taskOf(id).end({ exitCode: 1 });
    await engine.settle();
    expect(engine.status(id)).toBe('restarting');
    await engine.room.close({ stopContainers: false });
    await engine.reopen();
    await engine.clock.advance(0);
    await engine.until(() => engine.status(id) === 'running');
    expect(engine.status(idle)).toBe('created');
    expect(engine.get(id).state).toMatchObject({ restartCount: 1 });
  });

  it('tries again what its policy could not start before', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run(policy('unless-stopped'));
    engine.monitor.taskOf(id).end({ exitCode: 1 });
    await engine.settle();
    engine.script.failNth(3);
    await engine.clock.advance(100);
    await engine.until(() => engine.status(id) === 'exited');
    await engine.reopen();
    await engine.settle();
    expect(engine.status(id)).toBe('running');
  });

  it('comes up although one container cannot be adopted', async () => {
    await using engine = await ContainersFixture.open();
    const odd = await engine.run();
    const fine = await engine.run();
    engine.script.failNth(1);
    await engine.reopen();
    expect(engine.get(odd).state).toMatchObject({ status: 'exited', lastExit: { exitCode: 255 } });
    expect(engine.status(fine)).toBe('running');
    expect(engine.complaints).not.toEqual([]);
  });
});
