import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { ConflictError } from '../../../../src/base/errors.ts';
import type { ContainerId, ExecId } from '../../../../src/base/ids.ts';
import type { AttachOptions } from '../../../../src/engine/containers/types.ts';
import { StartFailure } from '../../../../src/engine/runtime/errors.ts';
import type { AttachSession, Task } from '../../../../src/engine/runtime/monitor.ts';
import { ContainersFixture, exampleExec, FakeClient } from '../../../support/containers-fixture.ts';

const ATTACH: AttachOptions = { stdin: true, stdout: true, stderr: true, logs: false, stream: true, detachKeys: null };
const PLAIN = { terminal: false, consoleSize: null };

/** What an exec started: its task, so that a test can end it. */
function watchExecs(engine: ContainersFixture): { task: () => Task } {
  const real = engine.monitor.exec.bind(engine.monitor);
  let last: Task | null = null;
  engine.monitor.exec = async (request) => {
    const made = await real(request);
    last = made.task;
    return made;
  };
  return {
    task: () => {
      if (last === null) throw new Error('no exec was started');
      return last;
    },
  };
}

describe('attach', () => {
  it('before the start is parked, and misses nothing', async () => {
    await using engine = await ContainersFixture.open({
      programOf: () => ({
        kind: 'say',
        output: [
          ['stdout', 'one\n'],
          ['stderr', 'two\n'],
        ],
        exitCode: 0,
      }),
    });
    const id = await engine.create();
    const client = new FakeClient();
    const { run, terminal } = await engine.room.attach(id, ATTACH);
    const copied = run(client);
    await engine.room.start(id);
    await copied;
    expect(terminal).toBe(false);
    expect(client.received).toEqual(['stdout:one\n', 'stderr:two\n']);
    expect(engine.actions.slice(0, 3)).toEqual(['create', 'attach', 'start']);
  });

  it('delivers only the streams asked for', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run();
    const client = new FakeClient();
    const copied = (await engine.room.attach(id, { ...ATTACH, stdout: false })).run(client);
    await engine.settle();
    const task = engine.monitor.taskOf(id);
    await task.write('stdout', 'one');
    await task.write('stderr', 'two');
    task.end();
    await copied;
    expect(client.received).toEqual(['stderr:two']);
  });

  it('copies what is typed, and its end where stdin is for one client', async () => {
    await using engine = await ContainersFixture.open({ programOf: () => ({ kind: 'echo' }) });
    const id = await engine.run({ openStdin: true, stdinOnce: true });
    const stdin = new PassThrough();
    const client = new FakeClient(stdin);
    const copied = (await engine.room.attach(id, ATTACH)).run(client);
    stdin.end('hello');
    await copied;
    expect(client.received).toEqual(['stdout:hello']);
    await engine.until(() => engine.status(id) === 'exited');
  });

  it('is left by the detach keys on a terminal; the process goes on', async () => {
    await using engine = await ContainersFixture.open({ programOf: () => ({ kind: 'echo' }) });
    const id = await engine.run({ openStdin: true, terminal: true });
    const stdin = new PassThrough();
    const client = new FakeClient(stdin);
    const copied = (await engine.room.attach(id, ATTACH)).run(client);
    stdin.write('ab\x10');
    await engine.settle();
    expect(client.received.join('')).toBe('stdout:ab');
    stdin.write('\x11');
    await copied;
    expect(engine.actions.at(-1)).toBe('detach');
    expect(engine.status(id)).toBe('running');
  });

  it('is told to the end before who waits hears of it, but not waited for without end', async () => {
    await using engine = await ContainersFixture.open();
    const { signal } = new AbortController();
    const order: string[] = [];
    for (const isSlow of [false, true]) {
      const id = await engine.run();
      const client = new FakeClient();
      const held = Promise.withResolvers<undefined>();
      const output = { write: async (): Promise<void> => held.promise };
      const { run } = await engine.room.attach(id, ATTACH);
      const copied = run({ stdin: null, output, signal: client.signal }).then(() => order.push('heard'));
      await engine.settle();
      const early = engine.room.wait(id, 'next-exit', signal).result.then(() => order.push('early'));
      const task = engine.monitor.taskOf(id);
      void task.write('stdout', 'last words');
      task.end({ exitCode: 0 });
      await engine.until(() => engine.status(id) === 'exited');
      const late = engine.room.wait(id, 'not-running', signal).result.then(() => order.push('late'));
      await engine.settle();
      expect(order).toEqual([]);
      if (isSlow) await engine.clock.advance(2000);
      else held.resolve(undefined);
      await Promise.all([early, late]);
      held.resolve(undefined);
      await copied;
      expect(order.indexOf('heard')).toBe(isSlow ? 2 : 0);
      order.length = 0;
    }
  });

  it('of a client that goes before the start is forgotten', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create();
    const client = new FakeClient();
    const copied = (await engine.room.attach(id, ATTACH)).run(client);
    client.leave();
    await copied;
    await engine.room.start(id);
    expect(engine.script.calls).not.toContain(`attach ${id}`);
    const late = new FakeClient();
    late.leave();
    await (await engine.room.attach(id, ATTACH)).run(late);
  });

  it('of a client that goes while it is connected lets go of the session', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create();
    const client = new FakeClient();
    const copied = (await engine.room.attach(id, ATTACH)).run(client);
    const real = engine.monitor.create.bind(engine.monitor);
    const sessions: AttachSession[] = [];
    engine.monitor.create = async (request) => {
      const task = await real(request);
      task.attach = async () => {
        client.leave();
        const session = engine.monitor.taskOf(id).join();
        sessions.push(session);
        return session;
      };
      return task;
    };
    await engine.room.start(id);
    await copied;
    await engine.settle();
    expect(sessions.map(({ stdin }) => stdin.destroyed)).toEqual([true]);
  });

  it.each([
    [
      'fails',
      async (engine: ContainersFixture, id: ContainerId): Promise<void> => {
        engine.monitor.create = () => Promise.reject(new StartFailure('no', 127));
        await expect(engine.room.start(id)).rejects.toThrow('no');
      },
    ],
    [
      'never comes, by a removal',
      async (engine: ContainersFixture, id: ContainerId): Promise<void> => {
        await engine.room.remove(id, { force: false, volumes: false });
      },
    ],
  ] as const)('to a start that %s ends', async (_title, what) => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create();
    const client = new FakeClient();
    const copied = (await engine.room.attach(id, ATTACH)).run(client);
    await what(engine, id);
    await copied;
    expect(client.received).toEqual([]);
  });

  it('is refused while the container is paused', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run();
    await engine.room.pause(id);
    await expect(engine.room.attach(id, ATTACH)).rejects.toThrow(
      `container ${id} is paused, unpause the container before attach`,
    );
    await expect(engine.room.attach(id, { ...ATTACH, detachKeys: 'ctrl-?' })).rejects.toThrow(
      'Invalid detach keys (ctrl-?) provided',
    );
  });
});

describe('exec', () => {
  it('is created, runs, ends; its code is known before the client’s stream ends', async () => {
    await using engine = await ContainersFixture.open();
    engine.monitor.programOf = () => ({ kind: 'say', output: [['stdout', 'hi']], exitCode: 4 });
    const id = await engine.create();
    engine.monitor.programOf = (request) =>
      'execId' in request ? { kind: 'say', output: [['stdout', 'hi']], exitCode: 4 } : { kind: 'wait' };
    await engine.room.start(id);
    const exec = await engine.room.createExec(id, exampleExec());
    expect(engine.room.getExec(exec)).toMatchObject({ running: false, exitCode: null, pid: 0 });
    expect(engine.get(id).execIds).toEqual([exec]);
    const client = new FakeClient();
    await (await engine.room.startExec(exec, PLAIN)).run(client);
    expect(client.received).toEqual(['stdout:hi']);
    expect(engine.room.getExec(exec)).toMatchObject({ running: false, exitCode: 4 });
    expect(engine.get(id).execIds).toEqual([]);
    expect(engine.actions.slice(2)).toEqual(['exec_create: true', 'exec_start: true', 'exec_die']);
    await engine.clock.advance(5 * 60_000);
    expect(() => engine.room.getExec(exec)).toThrow(`No such exec instance: ${exec}`);
  });

  it('detached returns when it runs', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run();
    const { task } = watchExecs(engine);
    const exec = await engine.room.createExec(id, exampleExec());
    await engine.room.startExecDetached(exec);
    expect(engine.room.getExec(exec)).toMatchObject({ running: true, pid: task().pid });
    await engine.room.resizeExec(exec, { height: 3, width: 4 });
    task().signal(9);
    await engine.settle();
    expect(engine.room.getExec(exec)).toMatchObject({ running: false, exitCode: 137, pid: task().pid });
    await expect(engine.room.resizeExec(exec, { height: 3, width: 4 })).rejects.toThrow(ConflictError);
  });

  it('starts once, however many clients ask', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run();
    const { task } = watchExecs(engine);
    const exec = await engine.room.createExec(id, exampleExec());
    const first = await engine.room.startExec(exec, PLAIN);
    const second = await engine.room.startExec(exec, PLAIN);
    const late = new FakeClient();
    const done = first.run(new FakeClient());
    await second.run(late);
    expect(late.received).toEqual([`stdout:exec command ${exec} is already running\r\n`]);
    await expect(engine.room.startExecDetached(exec)).rejects.toThrow('is already running');
    await engine.settle();
    expect(engine.script.calls.filter((call) => call.startsWith('exec '))).toHaveLength(1);
    task().signal(9);
    await done;
    await expect(engine.room.startExecDetached(exec)).rejects.toThrow('has already run');
  });

  it('that cannot be started tells why in the stream, and ends with the shell’s code', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run();
    const exec = await engine.room.createExec(id, exampleExec({ command: ['nosuch'] }));
    engine.monitor.exec = () => Promise.reject(new StartFailure('executable file not found in $PATH', 127));
    const client = new FakeClient();
    await (await engine.room.startExec(exec, PLAIN)).run(client);
    expect(client.received).toEqual(['stdout:executable file not found in $PATH\r\n']);
    expect(engine.room.getExec(exec)).toMatchObject({ running: false, exitCode: 127 });
  });

  it('whose child keeps its output open lets the client go after two seconds, and the session with it', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run();
    const { promise: never } = Promise.withResolvers<void>();
    const disposed: string[] = [];
    const real = engine.monitor.exec.bind(engine.monitor);
    const tasks: Task[] = [];
    engine.monitor.exec = async (request) => {
      const { task } = await real({ ...request, attachFirst: false });
      tasks.push(task);
      const session: AttachSession = {
        stdin: new PassThrough(),
        pipe: () => never,
        [Symbol.asyncDispose]: async () => void disposed.push('session'),
      };
      return { task, session };
    };
    const exec = await engine.room.createExec(id, exampleExec());
    let isDone = false;
    const done = (await engine.room.startExec(exec, PLAIN)).run(new FakeClient()).then(() => {
      isDone = true;
    });
    await engine.settle();
    tasks[0]?.signal(9);
    await engine.settle();
    expect(engine.room.getExec(exec).exitCode).toBe(137);
    await engine.clock.advance(1999);
    expect(isDone).toBe(false);
    await engine.clock.advance(1);
    await done;
    await engine.settle();
    expect(disposed).toEqual(['session']);
  });

  it('goes on without its client', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run();
    const { task } = watchExecs(engine);
    const exec = await engine.room.createExec(id, exampleExec());
    const client = new FakeClient();
    const done = (await engine.room.startExec(exec, PLAIN)).run(client);
    await engine.settle();
    client.leave();
    await done;
    expect(engine.room.getExec(exec).running).toBe(true);
    task().signal(9);
    await engine.settle();
    expect(engine.room.getExec(exec).exitCode).toBe(137);
  });

  it('is refused in what does not run, without a command, for a user there is not', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create({}, 'box');
    await expect(engine.room.createExec('box', exampleExec())).rejects.toThrow(`container ${id} is not running`);
    await engine.room.start(id);
    await expect(engine.room.createExec('box', exampleExec({ command: [] }))).rejects.toThrow(
      'No exec command specified',
    );
    const exec = await engine.room.createExec('box', exampleExec({ user: 'nobody-here' }));
    await expect(engine.room.startExecDetached(exec)).rejects.toThrow('unable to find user nobody-here');
    await engine.room.pause(id);
    await expect(engine.room.createExec('box', exampleExec())).rejects.toThrow(
      'Container box is paused, unpause the container before exec',
    );
    await expect(engine.room.startExecDetached('0'.repeat(64) as ExecId)).rejects.toThrow('No such exec instance');
  });

  it('inherits the container’s process also after a restart of the daemon', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run({ env: ['A=b'] });
    await engine.reopen();
    const seen: (readonly string[])[] = [];
    const real = engine.monitor.exec.bind(engine.monitor);
    engine.monitor.exec = async (request) => {
      seen.push(request.process.env);
      return real(request);
    };
    const exec = await engine.room.createExec(id, exampleExec({ env: ['C=d'] }));
    await engine.room.startExecDetached(exec);
    expect(seen[0]).toEqual(expect.arrayContaining(['A=b', 'C=d']));
  });
});
