import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../src/base/clock.ts';
import { newId, type ContainerId } from '../../../src/base/ids.ts';
import { KernelError, type Kernel } from '../../../src/engine/kernel/kernel.ts';
import { createLinuxKernel } from '../../../src/engine/kernel/linux/index.ts';
import { ConmonMonitor } from '../../../src/engine/runtime/conmon/monitor.ts';
import { OciProgram } from '../../../src/engine/runtime/oci-program.ts';
import { Bundles, obstacleToContainers, pathOf, processSpec } from '../../support/bundle.ts';

const obstacle = obstacleToContainers();
const SIGKILL = 9;
/** More kernel calls than any verb makes: reaching it would mean that the verb never succeeds. */
const MAX_CALLS = 40;

/** The real kernel, whose n-th call from `arm` on fails. */
class FailingKernel {
  readonly calls: string[] = [];
  readonly kernel: Pick<Kernel, 'processes' | 'sockets'>;
  #left = Number.POSITIVE_INFINITY;

  constructor(real: Kernel) {
    const wrap = <T extends object>(calls: T): T =>
      new Proxy(calls, {
        get: (target, name: string) => {
          const call = Reflect.get(target, name) as (...args: readonly unknown[]) => unknown;
          return (...args: readonly unknown[]) => {
            this.calls.push(name);
            this.#left -= 1;
            if (this.#left === 0) {
              const error = new KernelError(name, 'EMFILE', null);
              // The pipe is the callee's from the call on.
              if (name === 'readAll') closeSync(args[0] as number);
              if (['wait', 'capture', 'readAll', 'connectSeqpacket'].includes(name)) return Promise.reject(error);
              throw error;
            }
            return call.apply(target, [...args]);
          };
        },
      });
    this.kernel = { processes: wrap(real.processes), sockets: wrap(real.sockets) };
  }

  arm(n: number): void {
    this.calls.length = 0;
    this.#left = n;
  }

  disarm(): void {
    this.#left = Number.POSITIVE_INFINITY;
  }
}

describe.skipIf(obstacle !== null)(
  `conmon with a failing kernel${obstacle === null ? '' : ` (skipped: ${obstacle})`}`,
  () => {
    const failing = new FailingKernel(createLinuxKernel());
    let bundles: Bundles;
    let runtime: OciProgram;
    let monitor: ConmonMonitor;

    beforeAll(() => {
      bundles = new Bundles();
      runtime = new OciProgram({
        kernel: failing.kernel,
        name: 'crun',
        path: pathOf('crun') ?? '',
        extraArguments: [],
        root: `${bundles.root}/rt`,
        cgroups: bundles.cgroups,
        cgroupDriver: 'cgroupfs',
      });
      monitor = new ConmonMonitor({
        kernel: failing.kernel,
        clock: new SystemClock(),
        conmonPath: pathOf('conmon') ?? '',
        root: `${bundles.root}/m`,
        cgroups: bundles.cgroups,
      });
    });

    afterAll(() => {
      monitor[Symbol.dispose]();
      bundles[Symbol.dispose]();
    });

    const create = (id: ContainerId, path: string): ReturnType<ConmonMonitor['create']> =>
      monitor.create({
        containerId: id,
        runtime,
        bundlePath: path,
        logPath: null,
        terminal: false,
        stdin: false,
        keepStdinOpen: false,
      });

    function openDescriptors(): number {
      return readdirSync('/proc/self/fd').length;
    }

    /** conmon processes that still run for this container; the ended ones that init has not reaped yet do not count. */
    function monitorsOf(id: string): readonly string[] {
      const lines = execFileSync('ps', ['-eo', 'stat,args'], { encoding: 'utf8' }).split('\n');
      return lines.filter((line) => line.includes(`--cid=${id}`) && !line.startsWith('Z'));
    }

    /** Live processes in the container's cgroup. */
    function processesOf(id: string): readonly string[] {
      const { mountPoints } = bundles.cgroups;
      const hierarchy = mountPoints.get('pids') ?? mountPoints.get('') ?? '';
      const text = readFileSync(`${hierarchy}${bundles.cgroupParent}/${id}/cgroup.procs`, 'utf8');
      return text.split('\n').filter((line) => line !== '');
    }

    it('create: whichever call fails, nothing is left', async () => {
      for (let n = 1; n < MAX_CALLS; n += 1) {
        const { id, path } = bundles.make(['sleep', '1000']);
        const before = openDescriptors();
        failing.arm(n);
        const made = await create(id, path).catch((error: unknown) => error as Error);
        const failed = failing.calls.length >= n;
        failing.disarm();
        if (!(made instanceof Error)) {
          made.signal(SIGKILL);
          await made.exit;
          await made.delete();
          expect(n).toBeGreaterThan(3);
          if (!failed) return;
          continue;
        }
        expect(made.message).toContain('EMFILE');
        await expect(runtime.state(id)).resolves.toBeNull();
        expect(readdirSync(`${bundles.root}/m/tasks`)).toEqual([]);
        expect(monitorsOf(id)).toEqual([]);
        await expect.poll(openDescriptors).toBeLessThanOrEqual(before);
      }
      throw new Error('create never succeeded');
    });

    it('exec: whichever call fails, the container goes on and nothing else is left', async () => {
      const { id, path } = bundles.make(['sleep', '1000']);
      const task = await create(id, path);
      await task.start();
      try {
        for (let n = 1; n < MAX_CALLS; n += 1) {
          const before = openDescriptors();
          failing.arm(n);
          const made = await monitor
            .exec({
              execId: newId(),
              containerId: id,
              runtime,
              bundlePath: path,
              process: processSpec(['sleep', '1000']),
              terminal: false,
              stdin: false,
              attachFirst: true,
            })
            .catch((error: unknown) => error as Error);
          const failed = failing.calls.length >= n;
          failing.disarm();
          await expect(runtime.state(id)).resolves.toMatchObject({ ociStatus: 'running' });
          if (made instanceof Error) {
            expect(made.message).toContain('EMFILE');
            expect(readdirSync(`${bundles.root}/m/execs`)).toEqual([]);
            await expect.poll(() => monitorsOf(id).length).toBe(1);
            await expect.poll(() => processesOf(id).length).toBe(1);
            await expect.poll(openDescriptors).toBeLessThanOrEqual(before);
            continue;
          }
          await made.session?.[Symbol.asyncDispose]();
          made.task.signal(SIGKILL);
          await made.task.exit;
          await made.task.delete();
          if (!failed) return;
        }
        throw new Error('exec never succeeded');
      } finally {
        task.signal(SIGKILL);
        await task.exit;
        await task.delete();
        expect(existsSync(`${bundles.root}/m/tasks/${id}`)).toBe(false);
      }
    });
  },
);
