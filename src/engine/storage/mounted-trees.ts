/**
 * Trees of snapshots as directories. Some drivers give a directory that is there anyway (vfs, btrfs); what others give (a
 * file system on a block device, an overlay) is mounted below one root for as long as somebody reads or writes it:
 *
 * ```
 * <mount root>/<12 hex digits>-<key>/     nothing is left of it when the daemon has ended in order
 * ```
 *
 * A tree may be mounted elsewhere at the same time, a running container's for instance. The kernel mounts a device twice
 * only with the same flags, so it is mounted as its driver says, and what is only read gets a read-only bind on top.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, rmdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { errnoCodeOf } from '../../base/errors.ts';
import type { Undo } from '../../base/undo.ts';
import type { MountCalls } from '../kernel/kernel.ts';
import { isInstant, type Mount } from '../oci/mount.ts';
import { namesIn } from './directories.ts';
import { release, type StorageDriver } from './driver.ts';

/** A tree that stays where it is until the step that was deferred for it runs. */
export interface HeldTree {
  readonly root: string;
  /** True when it was mounted for the holder alone; false for a directory of the driver's. */
  readonly isMounted: boolean;
}

/** How a tree is held. */
export interface HoldOptions {
  /** `read` keeps the holder from changing anything, also times of access, where the tree is mounted. */
  readonly access: 'read' | 'write';
  /** What `prepare` or `view` has given; else the driver is asked. */
  readonly mounts?: readonly Mount[];
}

/** Options of {@link MountedTrees}. */
export interface MountedTreesOptions {
  readonly driver: StorageDriver;
  readonly mounts: Pick<MountCalls, 'mount' | 'mountInThread' | 'unmount' | 'unmountInThread' | 'listBelow'>;
  /** Made when missing. */
  readonly mountRoot: string;
}

const NAME = /^[0-9a-f]{12}-(.+)$/;

export class MountedTrees {
  readonly #options: MountedTreesOptions;

  constructor(options: MountedTreesOptions) {
    this.#options = options;
  }

  /**
   * Makes the tree of a snapshot reachable and defers its unmounting and {@link release} to `undo`: roll that back when
   * done with it. Ends the hold itself when it fails. NotFoundError, KernelError.
   */
  async hold(key: string, undo: Undo, { access, mounts: given }: HoldOptions): Promise<HeldTree> {
    const { driver } = this.#options;
    const mounts = given ?? (await driver.mounts(key));
    undo.defer(async () => release(driver, key));
    const [only] = mounts;
    if (mounts.length === 1 && only?.type === 'bind') return { root: only.source, isMounted: false };
    return { root: await this.#mount(key, mounts, access, undo), isMounted: true };
  }

  /** Unmounts what a killed daemon had mounted. */
  async sweep(): Promise<void> {
    const { driver, mounts, mountRoot } = this.#options;
    for (const path of mounts.listBelow(mountRoot)) mounts.unmount(path, { lazy: true });
    for (const name of await namesIn(mountRoot)) {
      await rmdir(join(mountRoot, name)).catch(() => undefined);
      const key = NAME.exec(name)?.[1];
      if (key !== undefined) await release(driver, key);
    }
  }

  async #mount(key: string, given: readonly Mount[], access: HoldOptions['access'], undo: Undo): Promise<string> {
    const { mounts, mountRoot } = this.#options;
    const target = join(mountRoot, `${randomBytes(6).toString('hex')}-${basename(key)}`);
    await mkdir(target, { recursive: true, mode: 0o700 });
    undo.defer(async () => rmdir(target));
    for (const one of given) {
      // An overlay waits for nothing, a disk has a log to be read.
      if (isInstant(one)) mounts.mount(one, target);
      else await mounts.mountInThread(one, target);
      undo.defer(async () => this.#unmount(target));
    }
    if (access === 'read') {
      mounts.mount({ type: 'bind', source: target, options: ['bind', 'ro'] }, target);
      undo.defer(() => mounts.unmount(target));
    }
    return target;
  }

  /** Busy is an administrator's shell, say: detached, it ends with that. */
  async #unmount(target: string): Promise<void> {
    const { mounts } = this.#options;
    try {
      await mounts.unmountInThread(target);
    } catch (error) {
      if (errnoCodeOf(error) !== 'EBUSY') throw error;
      await mounts.unmountInThread(target, { lazy: true });
    }
  }
}
