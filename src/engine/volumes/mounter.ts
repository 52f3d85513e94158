import { Worker } from 'node:worker_threads';
import { errnoCodeOf } from '../../base/errors.ts';
import { KernelError, type MountCalls } from '../kernel/kernel.ts';
import type { Mount } from '../oci/mount.ts';
import type { VolumeMounter } from './driver.ts';

type HostMounts = Pick<MountCalls, 'mount' | 'unmount' | 'listBelow'>;

/** What a mount worker is started with. */
export type MountJob =
  | { readonly kind: 'mount'; readonly mount: Mount; readonly target: string }
  | { readonly kind: 'unmount'; readonly target: string };

/** What it says before it ends. */
export type MountOutcome = { readonly call: string; readonly code: string } | null;

/** Mounted without asking a disk or a server: these never keep a thread waiting. */
const INSTANT = new Set(['bind', 'none', 'tmpfs', 'ramfs']);

/** Mounts in this thread what never waits; all else, a share on the network say, in a thread of its own. */
export function createVolumeMounter(mounts: HostMounts, workerUrl: URL): VolumeMounter {
  /** What was mounted elsewhere is unmounted elsewhere. */
  const slow = new Set<string>();
  return {
    async mount(mount, target) {
      if (INSTANT.has(mount.type)) {
        mounts.mount(mount, target);
        return;
      }
      await inWorker(workerUrl, { kind: 'mount', mount, target });
      slow.add(target);
    },
    async unmount(target) {
      if (slow.delete(target)) await inWorker(workerUrl, { kind: 'unmount', target });
      else unmountHere(mounts, target);
    },
    listBelow: (prefix) => mounts.listBelow(prefix),
  };
}

/** Does a job in the thread that a worker runs in. */
export function runMountJob(mounts: HostMounts, job: MountJob): MountOutcome {
  try {
    if (job.kind === 'mount') mounts.mount(job.mount, job.target);
    else unmountHere(mounts, job.target);
    return null;
  } catch (error) {
    if (error instanceof KernelError) return { call: error.call, code: error.code };
    throw error;
  }
}

/** Busy is what a container uses that has not quite gone, or an administrator's shell: detached, it ends with them. */
function unmountHere(mounts: Pick<MountCalls, 'unmount'>, target: string): void {
  try {
    mounts.unmount(target);
  } catch (error) {
    if (errnoCodeOf(error) !== 'EBUSY') throw error;
    mounts.unmount(target, { lazy: true });
  }
}

async function inWorker(url: URL, job: MountJob): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<MountOutcome>();
  const worker = new Worker(url, { workerData: job });
  worker.once('message', resolve);
  worker.once('error', reject);
  worker.once('exit', () => reject(new Error('the mount worker ended without an answer')));
  const outcome = await promise;
  if (outcome !== null) throw new KernelError(outcome.call, outcome.code, job.target);
}
