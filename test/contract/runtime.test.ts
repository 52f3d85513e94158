import { existsSync } from 'node:fs';
import { afterEach, beforeAll, afterAll, describe, expect, it } from 'vitest';
import { SystemClock } from '../../src/base/clock.ts';
import { newId, type ContainerId } from '../../src/base/ids.ts';
import { createLinuxKernel } from '../../src/engine/kernel/linux/index.ts';
import { ConmonMonitor } from '../../src/engine/runtime/conmon/monitor.ts';
import type { Task } from '../../src/engine/runtime/monitor.ts';
import { OciProgram } from '../../src/engine/runtime/oci-program.ts';
import type { OciRuntime } from '../../src/engine/runtime/runtime.ts';
import { createSeccomp } from '../../src/engine/runtime/seccomp/index.ts';
import { Bundles, obstacleToContainers, pathOf } from '../support/bundle.ts';
import { FakeRuntime } from '../support/fake-monitor.ts';

const obstacle = obstacleToContainers();
const SIGKILL = 9;

describe.skipIf(obstacle !== null)(`programs${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  for (const name of ['crun', 'runc']) runtimeSuite(name);
});

describe('runtime: fake', () => {
  unknownContainers(() => new FakeRuntime());
});

/** What every OciRuntime says of containers it does not know. */
function unknownContainers(runtime: () => OciRuntime): void {
  it('has no state of an unknown container, cannot signal it, and deletes it gladly', async () => {
    const id = newId<ContainerId>();
    await expect(runtime().state(id)).resolves.toBeNull();
    await expect(runtime().kill(id, SIGKILL)).rejects.toMatchObject({ kind: 'not-found' });
    await expect(runtime().delete(id)).resolves.toBeUndefined();
    await expect(runtime().delete(id, { force: true })).resolves.toBeUndefined();
  });
}

function runtimeSuite(name: string): void {
  describe(`runtime: ${name}`, () => {
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
      monitor = new ConmonMonitor({
        kernel,
        clock: new SystemClock(),
        conmonPath: pathOf('conmon') ?? '',
        root: `${bundles.root}/m`,
        cgroups: bundles.cgroups,
      });
    });

    afterEach(async () => {
      for (const task of tasks.splice(0)) {
        task.signal(SIGKILL);
        await task.exit;
        await task.delete();
      }
    });

    afterAll(() => {
      monitor[Symbol.dispose]();
      bundles[Symbol.dispose]();
    });

    async function create(args: readonly string[], change?: Parameters<Bundles['make']>[1]): Promise<Task> {
      const { id, path } = bundles.make(args, change);
      const task = await monitor.create({
        containerId: id,
        runtime,
        bundlePath: path,
        logPath: null,
        terminal: false,
        stdin: false,
        keepStdinOpen: false,
      });
      tasks.push(task);
      return task;
    }

    async function outputOf(task: Task): Promise<string> {
      let text = '';
      const session = await task.attach();
      const done = session.pipe({ write: (_stream, chunk) => void (text += Buffer.from(chunk).toString()) });
      await task.start();
      await done;
      return text;
    }

    unknownContainers(() => runtime);

    it('tells its version', async () => {
      await expect(runtime.version()).resolves.toMatch(/^\d+\.\d+/);
    });

    it('walks a container through its states and takes every trace of it away', async () => {
      const task = await create(['sleep', '1000']);
      const id = task.containerId;
      await expect(runtime.state(id)).resolves.toEqual({ ociStatus: 'created', pid: task.pid });
      await runtime.start(id);
      await expect(runtime.state(id)).resolves.toEqual({ ociStatus: 'running', pid: task.pid });
      await runtime.pause(id);
      await expect(runtime.state(id)).resolves.toMatchObject({ ociStatus: 'paused' });
      await runtime.resume(id);
      await runtime.kill(id, SIGKILL);
      await task.exit;
      await expect(runtime.state(id)).resolves.toMatchObject({ ociStatus: 'stopped' });
      await expect(runtime.kill(id, SIGKILL)).rejects.toMatchObject({ kind: 'not-found' });
      await runtime.delete(id);
      await expect(runtime.state(id)).resolves.toBeNull();
      for (const mountPoint of bundles.cgroups.mountPoints.values()) {
        expect(existsSync(`${mountPoint}${bundles.cgroupParent}/${id}`)).toBe(false);
      }
    });

    it('changes limits of a running container', async () => {
      const task = await create(['sleep', '1000']);
      await task.start();
      await runtime.update(task.containerId, { pids: { limit: 77 } });
      const pids = bundles.cgroups.mountPoints.get('pids') ?? bundles.cgroups.mountPoints.get('') ?? '';
      const cgroup = `${pids}${bundles.cgroupParent}/${task.containerId}`;
      const { readFileSync } = await import('node:fs');
      expect(readFileSync(`${cgroup}/pids.max`, 'utf8').trim()).toBe('77');
    });

    it('deletes by force what still runs', async () => {
      const task = await create(['sleep', '1000']);
      await task.start();
      await runtime.delete(task.containerId, { force: true });
      await expect(task.exit).resolves.toMatchObject({ exitCode: 137 });
    });

    it('filters system calls by the default profile, compiled or not', async () => {
      const capabilities = ['CAP_KILL'];
      const request = { privileged: false, capabilities, securityOptions: [], runtime };
      const options = { kernel, cachePath: `${bundles.root}/seccomp`, defaultProfile: null };
      const { seccomp, annotations } = createSeccomp(options).seccompFor(request);
      expect(Object.keys(annotations).length).toBe(runtime.acceptsCompiledSeccomp ? 1 : 0);
      // A second service finds the program on disk.
      expect(createSeccomp(options).seccompFor(request).annotations).toEqual(annotations);
      const change = {
        change: (spec: Parameters<NonNullable<NonNullable<Parameters<Bundles['make']>[1]>['change']>>[0]) => ({
          ...spec,
          annotations,
          linux: { ...spec.linux, ...(seccomp === null ? {} : { seccomp }) },
        }),
      };
      expect(await outputOf(await create(['grep', 'Seccomp:', '/proc/self/status'], change))).toMatch(/Seccomp:\s+2/);
      expect(await outputOf(await create(['sh', '-c', 'unshare -m true 2>&1; echo $?'], change))).not.toMatch(/^0$/m);
    });
  });
}
