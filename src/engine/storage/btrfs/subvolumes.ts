/**
 * Subvolumes that are ours, with all that hangs on them: others that were made in them, and what is counted for them.
 *
 * ```
 * <notes>/<id>     an empty file: the subvolume is gone or going, its group is still to be given up
 * ```
 *
 * The kernel forgets a group only when it has taken the subvolume's last file away, seconds after it was deleted; older
 * ones never do by themselves. So its id is written down before it goes, and the group given up when the kernel lets it
 * go, at the latest by the next daemon. Groups that nobody noted are others' and stay.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoCodeOf } from '../../../base/errors.ts';
import type { BtrfsCalls } from '../../kernel/btrfs.ts';
import { namesIn } from '../directories.ts';
import type { DeleteTree } from '../snapshot-directory.ts';

/** So many old groups are looked after when a subvolume goes: no removal waits for thousands. */
const GROUPS_AT_ONCE = 16;

export class Subvolumes {
  readonly #calls: BtrfsCalls;
  readonly #notes: string;

  /** `notes`: a directory on the same file system, made when it is needed. */
  constructor(calls: BtrfsCalls, notes: string) {
    this.#calls = calls;
    this.#notes = notes;
  }

  /**
   * Deletes what is at `path`: a subvolume with those in it, or, should it be none (copied from elsewhere), a directory.
   * Idempotent.
   */
  async destroy(path: string, on: string, deleteTree: DeleteTree): Promise<void> {
    const subvolume = await this.#calls.look(path);
    if (subvolume === null) {
      await deleteTree(path);
      return;
    }
    const [nested, quotas] = await Promise.all([this.#calls.nested(on, subvolume.id), this.#calls.quotas(on)]);
    const isCounted = quotas !== 'off';
    if (isCounted) await this.#note([...nested, subvolume.id]);
    for (const id of nested) await ignoring('ENOENT', this.#calls.destroyById(on, id));
    await ignoring('ENOENT', this.#calls.destroy(path));
    if (isCounted) await this.dropGroups(on, GROUPS_AT_ONCE);
  }

  /** Gives up groups of subvolumes that are gone, as far as the kernel does; all, or so many. */
  async dropGroups(on: string, most = Infinity): Promise<void> {
    const noted = await namesIn(this.#notes);
    for (const name of noted.slice(0, most)) {
      // EBUSY: its files are not all gone yet. Whatever else is wrong with a counter must not keep a container here.
      const isDropped = await this.#calls.dropGroup(on, BigInt(name)).then(
        () => true,
        () => false,
      );
      if (isDropped) await rm(join(this.#notes, name), { force: true });
    }
  }

  async #note(ids: readonly bigint[]): Promise<void> {
    await mkdir(this.#notes, { recursive: true, mode: 0o700 });
    for (const id of ids) await writeFile(join(this.#notes, String(id)), '');
  }
}

async function ignoring(code: string, done: Promise<void>): Promise<void> {
  try {
    await done;
  } catch (error) {
    if (errnoCodeOf(error) !== code) throw error;
  }
}
