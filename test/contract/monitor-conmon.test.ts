import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SystemClock } from '../../src/base/clock.ts';
import { newId } from '../../src/base/ids.ts';
import { createLinuxKernel } from '../../src/engine/kernel/linux/index.ts';
import { ConmonMonitor } from '../../src/engine/runtime/conmon/monitor.ts';
import { isMonitorOf } from '../../src/engine/runtime/conmon/run-directory.ts';
import { exitCodeOf } from '../../src/engine/runtime/errors.ts';
import type { AttachSession, ExecRequest, Task } from '../../src/engine/runtime/monitor.ts';
import { OciProgram } from '../../src/engine/runtime/oci-program.ts';
import { cgroupRoots } from '../support/belongings.ts';
import { Bundles, obstacleToContainers, pathOf, processSpec } from '../support/bundle.ts';

const obstacle = obstacleToContainers();
const SIGKILL = 9;
const CREATE =
  'failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed';

/** What conmon with a real runtime does beyond the contract: terminals, logs, its own death, texts of failures. */
describe.skipIf(obstacle !== null)(`conmon${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  describe.each(['crun', 'runc'])('with %s', (name) => {
    let bundles: Bundles;
    let runtime: OciProgram;
    let monitor: ConmonMonitor;
    const kernel = createLinuxKernel();
    const tasks: Task[] = [];

    beforeAll(() => {
      bundles = new Bundles();
      runtime = new OciProgram({
        kernel,
        name,
        path: pathOf(name) ?? '',
        extraArguments: [],
        root: `${bundles.root}/rt`,
        cgroups: bundles.cgroups,
        cgroupDriver: 'cgroupfs',
      });
      monitor = newMonitor();
    });

    afterEach(async () => {
      for (const task of tasks.splice(0)) {
        task.signal(SIGKILL);
        await task.exit;
        await task.delete();
      }
      expect(readdirSync(`${bundles.root}/m/tasks`)).toEqual([]);
      expect(readdirSync(`${bundles.root}/m/exits`)).toEqual([]);
    });

    afterAll(() => {
      monitor[Symbol.dispose]();
      bundles[Symbol.dispose]();
    });

    function newMonitor(conmonPath = pathOf('conmon') ?? ''): ConmonMonitor {
      const root = `${bundles.root}/m`;
      return new ConmonMonitor({ kernel, clock: new SystemClock(), conmonPath, root, cgroups: bundles.cgroups });
    }

    async function create(
      args: readonly string[],
      options: {
        readonly terminal?: boolean;
        readonly stdin?: boolean;
        readonly log?: boolean;
        readonly memoryBytes?: number;
      } = {},
    ): Promise<Task & { readonly logPath: string }> {
      const { terminal = false, stdin = false, log = false, memoryBytes } = options;
      const memory = memoryBytes === undefined ? {} : { memory: { limit: memoryBytes, swap: memoryBytes } };
      const { id, path } = bundles.make(args, {
        terminal,
        change: (spec) => ({
          ...spec,
          linux: { ...spec.linux, resources: { ...spec.linux.resources, ...memory } },
        }),
      });
      const logPath = `${path}/log`;
      const task = await monitor.create({
        containerId: id,
        runtime,
        bundlePath: path,
        logPath: log ? logPath : null,
        terminal,
        stdin,
        keepStdinOpen: false,
      });
      tasks.push(task);
      return Object.assign(task, { logPath });
    }

    function execOf(task: Task, args: readonly string[], options: { readonly terminal?: boolean } = {}): ExecRequest {
      const terminal = options.terminal ?? false;
      return {
        execId: newId(),
        containerId: task.containerId,
        runtime,
        bundlePath: '',
        process: processSpec(args, terminal),
        terminal,
        stdin: terminal,
        attachFirst: true,
      };
    }

    function gather(session: AttachSession): { readonly done: Promise<void>; readonly chunks: Buffer[] } {
      const chunks: Buffer[] = [];
      return { done: session.pipe({ write: (_stream, chunk) => void chunks.push(Buffer.from(chunk)) }), chunks };
    }

    it('delivers a flood in order, through a slow sink, and logs every line of it', async () => {
      const task = await create(['seq', '1', '200000'], { log: true });
      const session = await task.attach();
      const numbers: Buffer[] = [];
      const done = session.pipe({
        write: (_stream, chunk) => {
          numbers.push(Buffer.from(chunk));
          return numbers.length % 3 === 0 ? Promise.resolve() : undefined;
        },
      });
      await task.start();
      await done;
      await task.exit;
      const expected = `${Array.from({ length: 200_000 }, (_, index) => String(index + 1)).join('\n')}\n`;
      expect(Buffer.concat(numbers).toString() === expected).toBe(true);
      const logged = readFileSync(task.logPath, 'utf8').replace(/^\S+ stdout (F (.*\n)|P (.*)\n)/gm, '$2$3');
      expect(logged === expected).toBe(true);
    });

    it('sends a flood of input without losing a byte', async () => {
      const task = await create(['cat'], { stdin: true });
      const session = await task.attach();
      const { done, chunks } = gather(session);
      await task.start();
      const input = Buffer.alloc(3_000_000, 'moored\n');
      session.stdin.end(input);
      await expect(task.exit).resolves.toMatchObject({ exitCode: 0 });
      await done;
      expect(Buffer.concat(chunks).equals(input)).toBe(true);
    });

    it('sizes a terminal, many times in a row, and detaches without closing it', async () => {
      const task = await create(['sh'], { terminal: true, stdin: true });
      await task.start();
      const session = await task.attach();
      const { chunks } = gather(session);
      for (let width = 80; width <= 132; width += 1) await task.resize({ height: 43, width });
      session.stdin.write('stty size\n');
      await expect
        .poll(() => {
          session.stdin.write('stty size\n');
          return Buffer.concat(chunks).toString();
        })
        .toContain('43 132');
      await session[Symbol.asyncDispose]();
      const again = await task.attach();
      const second = gather(again);
      again.stdin.write('echo still $((40+2))\n');
      await expect.poll(() => Buffer.concat(second.chunks).toString()).toContain('still 42');
      again.stdin.write('exit 6\n');
      await expect(task.exit).resolves.toMatchObject({ exitCode: 6 });
    });

    it('is in its scope before it has children', async () => {
      const seen: { readonly pid: number; readonly children: string }[] = [];
      const adopt = async (pid: number): Promise<void> => {
        await nextTurn();
        seen.push({ pid, children: readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8') });
      };
      const root = `${bundles.root}/m`;
      using scoped = new ConmonMonitor({
        kernel,
        clock: new SystemClock(),
        conmonPath: pathOf('conmon') ?? '',
        root,
        cgroups: bundles.cgroups,
        scope: { adopt },
      });
      const plain = monitor;
      monitor = scoped;
      try {
        const task = await create(['sh', '-c', 'echo said; sleep 100'], { log: true });
        await task.start();
        const { task: exec } = await scoped.exec({
          execId: newId(),
          containerId: task.containerId,
          runtime,
          bundlePath: bundles.root,
          process: processSpec(['true']),
          terminal: false,
          stdin: false,
          attachFirst: false,
        });
        await expect(exec.exit).resolves.toMatchObject({ exitCode: 0 });
        await exec.delete();
      } finally {
        monitor = plain;
      }
      expect(seen.map(({ children }) => children)).toEqual(['', '']);
    });

    it('goes on in a fresh log file after a rename', async () => {
      const task = await create(['sh', '-c', 'while read line; do echo $line; done'], { log: true, stdin: true });
      const session = await task.attach();
      void session.pipe({ write: () => undefined });
      await task.start();
      session.stdin.write('before\n');
      await expect.poll(() => readFileSync(task.logPath, 'utf8')).toContain('before');
      renameSync(task.logPath, `${task.logPath}.1`);
      await task.reopenLog();
      await expect.poll(() => existsSync(task.logPath)).toBe(true);
      session.stdin.end('after\n');
      await task.exit;
      expect(readFileSync(`${task.logPath}.1`, 'utf8')).toMatch(/^\S+ stdout F before\n$/);
      expect(readFileSync(task.logPath, 'utf8')).toMatch(/^\S+\+00:00 stdout F after\n$/);
    });

    it('tells when the kernel killed for want of memory, also when the process lived on', async () => {
      const task = await create(['sh', '-c', 'tail /dev/zero; exit 3'], { memoryBytes: 16 * 1024 * 1024 });
      await task.start();
      await expect(task.exit).resolves.toMatchObject({ exitCode: 3, oomKilled: true });
    });

    it('ends a process whose monitor was killed, and says so', async () => {
      const task = await create(['sleep', '1000']);
      await task.start();
      const session = await task.attach();
      const { done } = gather(session);
      using other = newMonitor();
      const adopted = await other.adopt(task.containerId, runtime);
      const monitorPid = Number(readFileSync(`${bundles.root}/m/tasks/${task.containerId}/conmon.pid`, 'utf8'));
      process.kill(monitorPid, SIGKILL);
      for (const exit of [await task.exit, await adopted?.exit]) {
        expect(exit).toMatchObject({ exitCode: 137 });
        expect(exit?.error).toMatch(/conmon.*killed/);
      }
      await done;
      // Found after the fact, the answer is the same.
      const late = await other.adopt(task.containerId, runtime);
      await expect(late?.exit).resolves.toMatchObject({ exitCode: 137 });
    });

    it('tells why a process could not be made, in Docker’s words', async () => {
      const unable = 'unable to start container process';
      const cases = [
        ['nosuch', `${CREATE}: ${unable}: exec: "nosuch": executable file not found in $PATH: unknown`, 127],
        ['/no/such', `${CREATE}: ${unable}: exec: "/no/such": stat /no/such: no such file or directory: unknown`, 127],
        ['/etc/data', `${CREATE}: ${unable}: exec: "/etc/data": permission denied: unknown`, 126],
      ] as const;
      for (const [program, message, code] of cases) {
        for (const terminal of [false, true]) {
          const failure = await create([program], { terminal, stdin: terminal }).catch((error: unknown) => error);
          expect(failure).toMatchObject({ message, kind: 'invalid-argument' });
          expect(exitCodeOf(failure)).toBe(code);
        }
      }
      const directory: unknown = await create(['/etc']).catch((error: unknown) => error);
      expect(exitCodeOf(directory)).toBe(126);
      expect(readdirSync(`${bundles.root}/rt`)).toEqual([]);
    });

    it('tells why an exec could not be made', async () => {
      const task = await create(['sleep', '1000']);
      await task.start();
      const cases = [
        ['nosuch', 'exec: "nosuch": executable file not found in $PATH', 127],
        ['/etc/data', 'exec: "/etc/data": permission denied', 126],
      ] as const;
      for (const [program, reason, code] of cases) {
        for (const terminal of [false, true]) {
          const failure = await monitor.exec(execOf(task, [program], { terminal })).catch((error: unknown) => error);
          const message = `OCI runtime exec failed: exec failed: unable to start container process: ${reason}: unknown`;
          expect(failure).toMatchObject({ message });
          expect(exitCodeOf(failure)).toBe(code);
        }
      }
      const elsewhere = { ...execOf(task, ['true']), process: { ...processSpec(['true']), cwd: '/nowhere' } };
      await expect(monitor.exec(elsewhere)).rejects.toThrow(
        'chdir to cwd ("/nowhere") set in config.json failed: no such file or directory',
      );
      expect(readdirSync(`${bundles.root}/m/execs`)).toEqual([]);
    });

    it('gives an exec a terminal and its size', async () => {
      const task = await create(['sleep', '1000']);
      await task.start();
      const exec = await monitor.exec(execOf(task, ['sh'], { terminal: true }));
      if (exec.session === null) throw new Error('no session');
      const { session } = exec;
      const { done, chunks } = gather(session);
      await exec.task.resize({ height: 24, width: 101 });
      await expect
        .poll(() => {
          session.stdin.write('stty size\n');
          return Buffer.concat(chunks).toString();
        })
        .toContain('24 101');
      session.stdin.write('exit 4\n');
      await expect(exec.task.exit).resolves.toMatchObject({ exitCode: 4 });
      await done;
      await exec.task.delete();
    });

    it('takes a process away that runs, with its monitor, which leaves no note of the end', async () => {
      const task = await create(['sleep', '60']);
      await task.start();
      const monitors = (): readonly string[] =>
        readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && isMonitorOf(Number(pid), task.containerId));
      expect(monitors()).toHaveLength(1);
      tasks.length = 0;
      using process = kernel.processes.open(task.pid);
      await task.delete();
      expect(monitors()).toEqual([]);
      await process?.exited;
    });

    it('ends what a killed daemon had only just begun', async () => {
      const gate = `${bundles.root}/gate`;
      const slow = `${bundles.root}/slow-conmon`;
      rmSync(gate, { force: true });
      execFileSync('mkfifo', [gate]);
      writeFileSync(slow, `#!/bin/sh\nread word < ${gate}\nexec ${pathOf('conmon') ?? ''} "$@"\n`, { mode: 0o755 });
      const { id, path } = bundles.make(['sleep', '60']);
      const request = { containerId: id, runtime, bundlePath: path, logPath: null };
      using killed = newMonitor(slow);
      const start = killed.create({ ...request, terminal: false, stdin: false, keepStdinOpen: false });
      const ended = start.then(
        () => 'made',
        () => 'ended',
      );
      // The writing end opens when the script reads.
      const opened = open(gate, 'w');
      using next = newMonitor();
      const holder = await opened;
      await expect(next.adopt(id, runtime)).resolves.toBeNull();
      await holder.close();
      expect(await ended).toBe('ended');
      expect(cgroupRoots(bundles.cgroupParent).filter((root) => readdirSync(root).includes(id))).toEqual([]);
      expect(existsSync(`${bundles.root}/rt/${id}`)).toBe(false);
    });

    it('gives up when asked to, leaving nothing', async () => {
      const { id, path } = bundles.make(['sleep', '1000']);
      const controller = new AbortController();
      const made = monitor.create({
        containerId: id,
        runtime,
        bundlePath: path,
        logPath: null,
        terminal: false,
        stdin: false,
        keepStdinOpen: false,
        signal: controller.signal,
      });
      controller.abort(new Error('not any more'));
      await expect(made).rejects.toThrow('not any more');
      await expect(runtime.state(id)).resolves.toBeNull();
    });
  });
});
