import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newId, type ContainerId, type ExecId } from '../../src/base/ids.ts';
import type { ProcessSpec } from '../../src/engine/oci/runtime-spec.ts';
import type { AdoptedExec, AttachSession, Monitor, Task } from '../../src/engine/runtime/monitor.ts';
import type { OciRuntime } from '../../src/engine/runtime/runtime.ts';
import type { Program } from '../support/fake-monitor.ts';

/** What an implementation brings along. */
export interface MonitorSubject extends Disposable {
  readonly monitor: Monitor;
  readonly runtime: OciRuntime;
  /** A bundle whose process is the program. */
  bundle(
    program: Program,
    options?: { readonly terminal?: boolean },
  ): { readonly id: ContainerId; readonly path: string };
  /** An exec's process. */
  processOf(program: Program): ProcessSpec;
  /** A monitor that knows only what a daemon started anew would find. */
  restarted(): Monitor & Partial<Disposable>;
}

const SIGKILL = 9;

/** Gathers what a session delivers. */
function gather(session: AttachSession): { readonly done: Promise<void>; readonly text: () => string } {
  const parts: string[] = [];
  const done = session.pipe({
    write: (stream, chunk) => void parts.push(`${stream}:${Buffer.from(chunk).toString()}`),
  });
  return { done, text: () => parts.join('') };
}

/** What every Monitor does. */
export function monitorContract(name: string, make: () => MonitorSubject): void {
  describe(`monitor: ${name}`, () => {
    let subject: MonitorSubject;
    const tasks: Task[] = [];

    beforeAll(() => {
      subject = make();
    });

    afterAll(async () => {
      for (const task of tasks) {
        task.signal(SIGKILL);
        await task.exit;
        await task.delete();
      }
      subject[Symbol.dispose]();
    });

    async function create(
      program: Program,
      options: { readonly stdin?: boolean; readonly keepStdinOpen?: boolean; readonly terminal?: boolean } = {},
    ): Promise<Task> {
      const { stdin = false, keepStdinOpen = false, terminal = false } = options;
      const { id, path } = subject.bundle(program, { terminal });
      const task = await subject.monitor.create({
        containerId: id,
        runtime: subject.runtime,
        bundlePath: path,
        logPath: null,
        terminal,
        stdin,
        keepStdinOpen,
      });
      tasks.push(task);
      return task;
    }

    async function exec(
      first: Task,
      program: Program,
      { execId, note }: { readonly execId: ExecId; readonly note: string },
    ): Promise<{ readonly task: Task }> {
      const { containerId } = first;
      const { runtime } = subject;
      const process = subject.processOf(program);
      const how = { terminal: false, stdin: false, attachFirst: false, note };
      return subject.monitor.exec({ execId, containerId, runtime, bundlePath: '', process, ...how });
    }

    async function onlyExecOf(monitor: Monitor, { containerId }: Task): Promise<AdoptedExec> {
      const [found, ...others] = (await monitor.adoptExecs()).filter((execOne) => execOne.containerId === containerId);
      expect(others).toEqual([]);
      if (found === undefined) throw new Error('the exec was not found');
      return found;
    }

    const both: Program = {
      kind: 'say',
      output: [
        ['stdout', 'to out\n'],
        ['stderr', 'to err\n'],
      ],
      exitCode: 7,
    };

    it('delivers all output of a process that ends at once, then its exit code', async () => {
      const task = await create(both);
      const session = await task.attach();
      const { done, text } = gather(session);
      await task.start();
      await expect(task.exit).resolves.toMatchObject({ exitCode: 7, oomKilled: false, error: null });
      await done;
      expect(text()).toContain('stdout:to out\n');
      expect(text()).toContain('stderr:to err\n');
    });

    it('holds output back until the session says where to', async () => {
      const task = await create(both);
      const session = await task.attach();
      await task.start();
      const { done, text } = gather(session);
      await done;
      expect(text()).toContain('stdout:to out\n');
    });

    it('delivers to every session that was there before the start', async () => {
      const task = await create(both);
      const sessions = [await task.attach(), await task.attach(), await task.attach()].map(gather);
      await task.start();
      await Promise.all(sessions.map(({ done }) => done));
      for (const { text } of sessions) expect(text()).toContain('stdout:to out\n');
    });

    it('waits for a slow sink and for nobody who has gone', async () => {
      const task = await create(both);
      const stuck = await task.attach();
      void stuck.pipe({ write: () => new Promise<void>(() => undefined) });
      const other = gather(await task.attach());
      await task.start();
      await stuck[Symbol.asyncDispose]();
      await other.done;
      expect(other.text()).toContain('stdout:to out\n');
    });

    it('fails the pipe of a sink that fails, and no other', async () => {
      const task = await create(both);
      const failing = (await task.attach()).pipe({ write: () => Promise.reject(new Error('client has gone')) });
      const other = gather(await task.attach());
      const failure = expect(failing).rejects.toThrow('client has gone');
      await task.start();
      await failure;
      await other.done;
      expect(other.text()).toContain('stdout:to out\n');
    });

    it('carries input, and closes it with the session’s stdin', async () => {
      const task = await create({ kind: 'echo' }, { stdin: true });
      const session = await task.attach();
      const { done, text } = gather(session);
      await task.start();
      session.stdin.write('first\n');
      session.stdin.end('second\n');
      await expect(task.exit).resolves.toMatchObject({ exitCode: 0 });
      await done;
      expect(text().replaceAll('stdout:', '')).toBe('first\nsecond\n');
    });

    it('keeps stdin open where that was asked for', async () => {
      const task = await create({ kind: 'echo' }, { stdin: true, keepStdinOpen: true });
      await task.start();
      const first = await task.attach();
      const heard = gather(first);
      first.stdin.end('one\n');
      await expect.poll(() => heard.text()).toContain('one\n');
      await first[Symbol.asyncDispose]();
      const second = await task.attach();
      const heardAgain = gather(second);
      second.stdin.write('two\n');
      await expect.poll(() => heardAgain.text()).toContain('two\n');
    });

    it('does not close stdin when a session that never wrote goes', async () => {
      const task = await create({ kind: 'echo' }, { stdin: true });
      await task.start();
      const onlooker = await task.attach();
      const looked = onlooker.pipe({ write: () => undefined });
      await onlooker[Symbol.asyncDispose]();
      await looked;
      const session = await task.attach();
      const { done, text } = gather(session);
      session.stdin.end('still here\n');
      await task.exit;
      await done;
      expect(text()).toContain('still here\n');
    });

    it('signals the process, and not one that has gone', async () => {
      const task = await create({ kind: 'wait' });
      await task.start();
      expect(task.signal(SIGKILL)).toBe(true);
      await expect(task.exit).resolves.toMatchObject({ exitCode: 137 });
      expect(task.signal(SIGKILL)).toBe(false);
      await expect(task.attach()).rejects.toMatchObject({ kind: 'conflict' });
    });

    it('resizes without harm, terminal or not', async () => {
      const task = await create({ kind: 'wait' });
      await task.resize({ height: 24, width: 80 });
      await task.start();
      await task.resize({ height: 24, width: 80 });
    });

    it('runs another process beside the first, missing none of its output', async () => {
      const first = await create({ kind: 'wait' });
      await first.start();
      const { task, session } = await subject.monitor.exec({
        execId: newId(),
        containerId: first.containerId,
        runtime: subject.runtime,
        bundlePath: '',
        process: subject.processOf(both),
        terminal: false,
        stdin: false,
        attachFirst: true,
      });
      if (session === null) throw new Error('no session');
      const { done, text } = gather(session);
      await expect(task.exit).resolves.toMatchObject({ exitCode: 7 });
      await done;
      expect(text()).toContain('stdout:to out\n');
      expect(text()).toContain('stderr:to err\n');
      await task.delete();
    });

    it('runs a detached process', async () => {
      const first = await create({ kind: 'wait' });
      await first.start();
      const { task, session } = await subject.monitor.exec({
        execId: newId(),
        containerId: first.containerId,
        runtime: subject.runtime,
        bundlePath: '',
        process: subject.processOf({ kind: 'say', output: [], exitCode: 3 }),
        terminal: false,
        stdin: false,
        attachFirst: false,
      });
      expect(session).toBeNull();
      await expect(task.exit).resolves.toMatchObject({ exitCode: 3 });
      await task.delete();
    });

    it('finds a running process again, and its later end', async () => {
      const task = await create({ kind: 'wait' });
      await task.start();
      const monitor = subject.restarted();
      const found = await monitor.adopt(task.containerId, subject.runtime);
      expect(found?.pid).toBe(task.pid);
      task.signal(15);
      task.signal(SIGKILL);
      const [exit, seen] = await Promise.all([task.exit, found?.exit]);
      expect(seen?.exitCode).toBe(exit.exitCode);
      monitor[Symbol.dispose]?.();
    });

    it('delivers an end that nobody was there to see', async () => {
      const task = await create({ kind: 'say', output: [], exitCode: 5 });
      await task.start();
      await task.exit;
      const monitor = subject.restarted();
      const found = await monitor.adopt(task.containerId, subject.runtime);
      await expect(found?.exit).resolves.toMatchObject({ exitCode: 5, error: null });
      monitor[Symbol.dispose]?.();
    });

    it('finds a running exec again with what was noted, and its later end', async () => {
      const first = await create({ kind: 'wait' });
      await first.start();
      const execId = newId<ExecId>();
      const { task } = await exec(first, { kind: 'wait' }, { execId, note: '{"by":"us"}' });
      const monitor = subject.restarted();
      const found = await onlyExecOf(monitor, first);
      expect(found).toMatchObject({ execId, note: '{"by":"us"}' });
      expect(found.task.pid).toBe(task.pid);
      found.task.signal(SIGKILL);
      await expect(found.task.exit).resolves.toMatchObject({ exitCode: 137, error: null });
      await found.task.delete();
      await expect(monitor.adoptExecs()).resolves.toEqual([]);
      monitor[Symbol.dispose]?.();
    });

    it('delivers the end of an exec that nobody was there to see', async () => {
      const first = await create({ kind: 'wait' });
      await first.start();
      const { task } = await exec(first, { kind: 'say', output: [], exitCode: 9 }, { execId: newId(), note: 'kept' });
      await task.exit;
      const monitor = subject.restarted();
      const found = await onlyExecOf(monitor, first);
      await expect(found.task.exit).resolves.toMatchObject({ exitCode: 9, error: null });
      await found.task.delete();
      monitor[Symbol.dispose]?.();
    });

    it('knows nothing of a container it never had, and nothing of a deleted one', async () => {
      const task = await create({ kind: 'say', output: [], exitCode: 0 });
      await task.start();
      await task.exit;
      await task.delete();
      await task.delete();
      await expect(subject.monitor.adopt(task.containerId, subject.runtime)).resolves.toBeNull();
      await expect(subject.monitor.adopt(newId(), subject.runtime)).resolves.toBeNull();
    });
  });
}
