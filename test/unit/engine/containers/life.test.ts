import { existsSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import {
  ConflictError,
  InternalError,
  NotFoundError,
  NotImplementedError,
  UnavailableError,
} from '../../../../src/base/errors.ts';
import type { ContainerId } from '../../../../src/base/ids.ts';
import type { WaitResult } from '../../../../src/engine/containers/types.ts';
import { StartFailure } from '../../../../src/engine/runtime/errors.ts';
import { ContainersFixture } from '../../../support/containers-fixture.ts';
import { exampleSpec } from '../../../support/container-spec.ts';

const NEVER = new AbortController().signal;
const KEEP = { force: false, volumes: false };

describe('a container’s life', () => {
  it('is create, start, die, destroy, and leaves nothing', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create({ volumes: ['/cache'], host: { ipcMode: { kind: 'shareable' } } }, 'box');
    expect(engine.status(id)).toBe('created');
    expect(engine.leftovers()).toEqual([]);
    expect(await engine.room.start('box')).toBe(true);
    expect(engine.get(id).state).toMatchObject({ status: 'running', pid: engine.monitor.taskOf(id).pid });
    expect(engine.get(id).netnsPath).toBe(`/run/netns/${id}`);
    expect(engine.kernel.mounted.map(({ mount }) => mount.type)).toEqual(['overlay', 'tmpfs']);
    expect(await engine.room.start('box')).toBe(false);
    engine.monitor.taskOf(id).end({ exitCode: 3 });
    await engine.until(() => engine.status(id) === 'exited');
    await engine.settle();
    expect(engine.leftovers()).toEqual([]);
    expect(engine.get(id).state).toMatchObject({ lastExit: { exitCode: 3, oomKilled: false } });
    await engine.room.remove(id, { force: false, volumes: true });
    expect(engine.belongings()).toEqual([]);
    expect(engine.actions).toEqual(['create', 'start', 'die', 'destroy']);
    expect(engine.complaints).toEqual([]);
    expect(() => engine.room.get(id)).toThrow(new NotFoundError(`No such container: ${id}`));
  });

  it('tells in its events image, name, labels, exit code and how long it ran', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run({ labels: { a: 'b' } }, 'box');
    await engine.clock.advance(2500);
    engine.monitor.taskOf(id).end({ exitCode: 137, oomKilled: true });
    await engine.settle();
    expect(engine.actions.slice(-2)).toEqual(['oom', 'die']);
    expect(engine.events.at(-1)).toEqual({
      type: 'container',
      action: 'die',
      actorId: id,
      attributes: { a: 'b', image: 'busybox', name: 'box', exitCode: '137', execDuration: '2' },
    });
  });

  it('has the host and domain name of the container whose network it joins', async () => {
    await using engine = await ContainersFixture.open();
    await engine.create({ hostname: 'host', domainname: 'example.org' }, 'donor');
    const id = await engine.create({ hostname: '', host: { network: { kind: 'container', ref: 'donor' } } });
    expect(engine.get(id).spec).toMatchObject({ hostname: 'host', domainname: 'example.org' });
  });

  it('keeps to the containers whose namespaces it joins, whatever they are called later', async () => {
    await using engine = await ContainersFixture.open();
    const ref = await engine.create({ host: { ipcMode: { kind: 'shareable' } } }, 'donor');
    const joined = { kind: 'container', ref: 'donor' } as const;
    const id = await engine.create({ hostname: '', host: { network: joined, ipcMode: joined, pidMode: joined } });
    const byId = { kind: 'container', ref };
    expect(engine.get(id).spec.host).toMatchObject({ network: byId, ipcMode: byId, pidMode: byId });
    expect(engine.get(id)).toMatchObject({ ipcMode: byId });
  });

  it('is shown newest first, by the same view until something changes', async () => {
    await using engine = await ContainersFixture.open();
    const first = await engine.create();
    await engine.clock.advance(1);
    const second = await engine.create();
    expect(engine.room.list().map(({ id }) => id)).toEqual([second, first]);
    const view = engine.get(first);
    expect(engine.get(first)).toBe(view);
    await engine.room.start(first);
    expect(engine.get(first)).not.toBe(view);
    expect(view.state.status).toBe('created');
  });

  it('is not begun for an image or an option that there is not, nor for a name that is taken', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create({}, 'box');
    await expect(engine.create({}, '/box')).rejects.toThrow(
      `The container name "/box" is already in use by container "${id}"`,
    );
    await expect(engine.create({ image: 'nosuch' })).rejects.toThrow('No such image: nosuch:latest');
    await expect(engine.create({ host: { runtime: 'nosuch' } })).rejects.toThrow('unknown or invalid runtime name');
    await expect(engine.create({ host: { logDriver: 'nosuch' } })).rejects.toThrow('plugin "nosuch" not found');
    expect(engine.room.list()).toHaveLength(1);
  });

  it('two creates of one name at the same time make one', async () => {
    await using engine = await ContainersFixture.open();
    const results = await Promise.allSettled([engine.create({}, 'box'), engine.create({}, 'box')]);
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(engine.rowIds()).toHaveLength(1);
  });

  it('starts made at the same time start it once', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create();
    const started = await Promise.all([engine.room.start(id), engine.room.start(id)]);
    expect(started).toEqual([true, false]);
    expect(engine.actions.filter((action) => action === 'start')).toHaveLength(1);
  });
});

describe('a start that fails', () => {
  it('shows why, with the code that a shell would give, and tells who waits', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create();
    const { result } = engine.room.wait(id, 'next-exit', NEVER);
    engine.monitor.create = () => Promise.reject(new StartFailure('exec: "sh": no such file or directory', 127));
    await expect(engine.room.start(id)).rejects.toThrow('no such file or directory');
    expect(engine.get(id).state).toEqual({
      status: 'created',
      error: 'exec: "sh": no such file or directory',
      exitCode: 127,
    });
    expect(await result).toEqual({ exitCode: 127, error: null });
    expect(engine.leftovers()).toEqual([]);
  });

  it('takes a --rm container away', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create({ host: { autoRemove: true } });
    const { result } = engine.room.wait(id, 'removed', NEVER);
    engine.monitor.create = () => Promise.reject(new InternalError('it will not'));
    await expect(engine.room.start(id)).rejects.toThrow('it will not');
    expect(await result).toEqual({ exitCode: 128, error: null });
    expect(engine.belongings()).toEqual([]);
  });

  it('of a paused or a going container says so', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run();
    await engine.room.pause(id);
    await expect(engine.room.start(id)).rejects.toThrow('cannot start a paused container, try unpause instead');
    const going = await engine.create();
    const removal = engine.room.remove(going, KEEP);
    await expect(engine.room.start(going)).rejects.toThrow('container is marked for removal and cannot be started');
    await removal;
  });
});

describe('removal', () => {
  it('is refused while it runs or is paused', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run({}, 'box');
    await expect(engine.room.remove(id, KEEP)).rejects.toThrow(
      'cannot remove container "/box": container is running: stop the container before removing or force remove',
    );
    await engine.room.pause(id);
    await expect(engine.room.remove(id, KEEP)).rejects.toThrow('container is paused and must be unpaused first');
    expect(engine.status(id)).toBe('paused');
  });

  it('by force kills first, and a second one at the same time is told', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run();
    const first = engine.room.remove(id, { force: true, volumes: false });
    await expect(engine.room.remove(id, { force: true, volumes: false })).rejects.toThrow(
      new ConflictError(`removal of container ${id} is already in progress`),
    );
    await first;
    expect(engine.actions).toEqual(['create', 'start', 'kill', 'die', 'destroy']);
    expect(engine.belongings()).toEqual([]);
  });

  it('by force while the process ends by itself removes it once', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run({ host: { autoRemove: true } });
    engine.monitor.taskOf(id).end({ exitCode: 1 });
    await Promise.allSettled([engine.room.remove(id, { force: true, volumes: false })]);
    await engine.settle();
    expect(engine.belongings()).toEqual([]);
    expect(engine.actions.filter((action) => action === 'destroy')).toHaveLength(1);
  });

  it.each(Array.from({ length: 12 }, (_, turns) => turns))(
    'by hand, %i turns into the end of a --rm container, removes it once',
    async (turns) => {
      await using engine = await ContainersFixture.open();
      const id = await engine.run({ host: { autoRemove: true } });
      engine.monitor.taskOf(id).end();
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      if (engine.status(id) !== null)
        await Promise.allSettled([engine.room.remove(id, { force: true, volumes: false })]);
      await engine.settle();
      expect(engine.belongings()).toEqual([]);
      expect(engine.actions.filter((action) => action === 'destroy')).toHaveLength(1);
    },
  );

  it('during a start waits for it and then goes by what has become of it', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create({}, 'box');
    const start = engine.room.start(id);
    await engine.until(() => engine.script.calls.includes('storage.mounts'));
    await expect(engine.room.remove(id, KEEP)).rejects.toThrow(ConflictError);
    expect(await start).toBe(true);
    expect(engine.status(id)).toBe('running');
    const again = engine.room.remove(id, { force: true, volumes: false });
    await again;
    expect(engine.belongings()).toEqual([]);
  });

  it('that fails leaves it dead, tells who waits, and can be done again', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create();
    const { result } = engine.room.wait(id, 'removed', NEVER);
    engine.script.failNth(2, new InternalError('device busy'));
    await expect(engine.room.remove(id, KEEP)).rejects.toThrow('device busy');
    expect(engine.get(id).state).toMatchObject({ status: 'dead', error: 'device busy' });
    expect(await result).toEqual({ exitCode: 0, error: 'device busy' });
    await expect(engine.room.start(id)).rejects.toThrow('marked for removal');
    await engine.room.remove(id, KEEP);
    expect(engine.belongings()).toEqual([]);
  });

  it('that cannot be written down on a full disk gives back what it had, and can be done again for the rest', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create();
    const full = new UnavailableError('write state.db: no space left on device');
    const write = vi.spyOn(engine.db, 'run').mockImplementation(() => {
      throw full;
    });
    await expect(engine.room.remove(id, KEEP)).rejects.toThrow(full);
    write.mockRestore();
    expect(engine.get(id).state).toMatchObject({ status: 'dead', error: full.message });
    await engine.room.remove(id, KEEP);
    expect(engine.belongings()).toEqual([]);
  });

  it('that a full disk keeps from being written down to the end is done by the next engine', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run({}, 'box');
    const write = vi.spyOn(engine.db, 'run').mockImplementation(() => {
      throw new UnavailableError('write state.db: no space left on device');
    });
    await expect(engine.room.remove(id, { force: true, volumes: true })).rejects.toThrow('no space left on device');
    write.mockRestore();
    expect(engine.monitor.held).toEqual([]);
    await engine.reopen();
    expect(['exited', 'dead']).toContain(engine.status(id));
    await engine.room.remove(id, KEEP);
    expect(engine.belongings()).toEqual([]);
  });

  it.each([
    [
      'stop',
      'exited',
      async ({ room }: ContainersFixture, id: ContainerId) => room.stop(id, { signal: null, timeoutSeconds: 0 }),
    ],
    ['kill', 'exited', async ({ room }: ContainersFixture, id: ContainerId) => room.kill(id, 'KILL')],
    ['pause', 'paused', async ({ room }: ContainersFixture, id: ContainerId) => room.pause(id)],
  ] as const)('%s works on a full disk', async (_verb, status, verb) => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run({ host: { restartPolicy: { name: 'always', maximumRetryCount: 0 } } });
    const write = vi.spyOn(engine.db, 'run').mockImplementation(() => {
      throw new UnavailableError('write state.db: no space left on device');
    });
    await verb(engine, id);
    await engine.until(() => engine.status(id) === status);
    write.mockRestore();
    expect(engine.complaints).toContain(
      status === 'paused' ? 'a pause could not be written down' : 'that it is to be stopped could not be written down',
    );
    await engine.room.remove(id, { force: true, volumes: true });
    expect(engine.belongings()).toEqual([]);
  });

  it.each([
    ['removed', async (engine: ContainersFixture, id: ContainerId) => engine.room.remove(id, KEEP), 0],
    ['started', async (engine: ContainersFixture, id: ContainerId) => engine.room.start(id), 1],
  ])('after an end that a full disk did not take, %s, leaves nothing of the old process', async (_what, verb, left) => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run();
    const write = vi.spyOn(engine.db, 'run').mockImplementation(() => {
      throw new UnavailableError('write state.db: no space left on device');
    });
    const exit = engine.room.wait(id, 'next-exit', NEVER).result;
    const old = engine.monitor.taskOf(id);
    old.end({ exitCode: 3 });
    await exit;
    write.mockRestore();
    expect(engine.monitor.taskOf(id)).toBe(old);
    await verb(engine, id);
    expect(engine.monitor.held).toHaveLength(left);
    if (left > 0) expect(engine.monitor.taskOf(id)).not.toBe(old);
  });

  it('takes anonymous volumes along only where asked, and never those that others use', async () => {
    await using engine = await ContainersFixture.open();
    const lender = await engine.create({ volumes: ['/cache'] });
    const borrower = await engine.create({ host: { volumesFrom: [lender] } });
    await engine.room.remove(lender, { force: false, volumes: true });
    expect(engine.volumes.list()).toHaveLength(1);
    await engine.room.remove(borrower, KEEP);
    expect(engine.volumes.list()).toHaveLength(1);
    const other = await engine.create({ volumes: ['/cache'] });
    await engine.room.remove(other, { force: false, volumes: true });
    expect(engine.volumes.list()).toHaveLength(1);
  });

  it('of its own accord (--rm) comes after the exit was told', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run({ volumes: ['/cache'], host: { autoRemove: true } });
    const told: string[] = [];
    const note = (what: string) => (result: WaitResult) => void told.push(`${what} ${String(result.exitCode)}`);
    const exit = engine.room.wait(id, 'next-exit', NEVER).result.then(note('exit'));
    const gone = engine.room.wait(id, 'removed', NEVER).result.then(note('removed'));
    engine.monitor.taskOf(id).end({ exitCode: 5 });
    await Promise.all([exit, gone]);
    expect(told).toEqual(['exit 5', 'removed 5']);
    expect(engine.actions).toEqual(['create', 'start', 'die', 'destroy']);
    expect(engine.belongings()).toEqual([]);
  });
});

describe('waiting', () => {
  it('for “not running” is over at once where nothing runs', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create();
    expect(await engine.room.wait(id, 'not-running', NEVER).result).toEqual({ exitCode: 0, error: null });
    await engine.room.start(id);
    const { result } = engine.room.wait(id, 'not-running', NEVER);
    engine.monitor.taskOf(id).end({ exitCode: 9, error: 'the monitor was killed' });
    expect(await result).toEqual({ exitCode: 9, error: 'the monitor was killed' });
    expect(await engine.room.wait(id, 'not-running', NEVER).result).toEqual({
      exitCode: 9,
      error: 'the monitor was killed',
    });
  });

  it('for the next exit counts from now, also before the first start', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create();
    const { result } = engine.room.wait(id, 'next-exit', NEVER);
    await engine.room.start(id);
    engine.monitor.taskOf(id).end({ exitCode: 2 });
    expect(await result).toMatchObject({ exitCode: 2 });
  });

  it('ends with the client', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run();
    const client = new AbortController();
    const { result } = engine.room.wait(id, 'removed', client.signal);
    client.abort(new Error('gone'));
    await expect(result).rejects.toThrow('gone');
  });
});

describe('renaming', () => {
  it('moves the name, and says the old one', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create({}, 'old');
    await engine.room.rename('old', 'new');
    expect(engine.get('new').id).toBe(id);
    expect(() => engine.get('old')).toThrow('No such container: old');
    expect(engine.events.at(-1)).toMatchObject({ action: 'rename', attributes: { name: 'new', oldName: '/old' } });
    await engine.create({}, 'old');
    await engine.reopen();
    expect(engine.get('new').id).toBe(id);
  });

  it('to a taken, equal, empty or impossible name is refused and changes nothing', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create({}, 'one');
    await engine.create({}, 'two');
    await expect(engine.room.rename(id, 'two')).rejects.toThrow('The container name "/two" is already in use');
    await expect(engine.room.rename(id, 'one')).rejects.toThrow('same name as its current name');
    await expect(engine.room.rename(id, '')).rejects.toThrow('Neither old nor new names may be empty');
    await expect(engine.room.rename(id, 'a b')).rejects.toThrow('Invalid container name');
    engine.script.failNth(1, new InternalError('disk full'));
    await expect(engine.room.rename(id, 'three')).rejects.toThrow('disk full');
    expect(engine.get('one').id).toBe(id);
    await engine.create({}, 'three');
  });

  it('of one that is being removed takes no name with it', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create({}, 'old');
    const removal = engine.room.remove(id, KEEP);
    await expect(engine.room.rename(id, 'new')).rejects.toThrow(`No such container: ${id}`);
    await removal;
    await engine.create({}, 'new');
  });
});

describe('pausing', () => {
  it('is told, and refused where it makes no sense', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create();
    await expect(engine.room.pause(id)).rejects.toThrow(`container ${id} is not running`);
    await expect(engine.room.unpause(id)).rejects.toThrow('is not paused');
    await engine.room.start(id);
    await engine.room.pause(id);
    await expect(engine.room.pause(id)).rejects.toThrow('is already paused');
    await engine.room.unpause(id);
    expect(engine.status(id)).toBe('running');
    expect(engine.actions.slice(-2)).toEqual(['pause', 'unpause']);
  });

  it('that the runtime refuses changes nothing', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run();
    engine.script.failNth(1, new InternalError('no freezer'));
    await expect(engine.room.pause(id)).rejects.toThrow('no freezer');
    expect(engine.status(id)).toBe('running');
  });
});

describe('the smaller questions', () => {
  it('sizes, storage, who uses an image, terminal size', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create();
    expect(await engine.room.sizes(id)).toEqual({ writableBytes: 10, rootBytes: 1010 });
    expect(await engine.room.describeStorage(id)).toEqual({});
    expect(engine.room.containersOf(engine.get(id).imageId)).toEqual([{ id, running: false }]);
    await expect(engine.room.resize(id, { height: 1, width: 2 })).rejects.toThrow('is not running');
    await engine.room.start(id);
    await engine.room.resize(id, { height: 1, width: 2 });
    expect(engine.monitor.taskOf(id).sizes).toEqual([{ height: 1, width: 2 }]);
    expect(engine.room.containersOf(engine.get(id).imageId)).toEqual([{ id, running: true }]);
  });

  it('logs of a driver that keeps none', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create({ host: { logDriver: 'none' } });
    const all = { stdout: true, stderr: true, follow: false, tail: null, since: null, until: null, signal: NEVER };
    expect(() => engine.room.logs(id, all)).toThrow(
      new NotImplementedError('configured logging driver does not support reading'),
    );
    expect(engine.get(id).logPath).toBeNull();
  });

  it('a container in another’s network or shared memory needs that one to run', async () => {
    await using engine = await ContainersFixture.open();
    const donor = await engine.create({ host: { ipcMode: { kind: 'shareable' } } }, 'donor');
    const host = {
      network: { kind: 'container', ref: 'donor' },
      ipcMode: { kind: 'container', ref: 'donor' },
    } as const;
    const guest = await engine.create({ host }, 'guest');
    await expect(engine.room.start(guest)).rejects.toThrow(
      'cannot join network namespace of a non running container: container donor is created',
    );
    expect(engine.leftovers()).toEqual([]);
    await engine.room.start(donor);
    await engine.room.start(guest);
    expect(engine.status(guest)).toBe('running');
    expect(existsSync(engine.get(donor).hostsPath)).toBe(true);
    await expect(
      engine.room.create({
        name: null,
        spec: exampleSpec({ host: { pidMode: { kind: 'container', ref: 'nosuch' } } }),
        frontDocument: null,
      }),
    ).rejects.toThrow('No such container: nosuch');
  });
});
