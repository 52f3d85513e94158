import { ConflictError, errnoCodeOf } from '../../../base/errors.ts';
import type { BtrfsCalls } from '../../kernel/btrfs.ts';
import type { KeptLimits } from '../mending.ts';
import { quotasAreOff } from './options.ts';

/** {@link KeptLimits} of subvolumes: their groups go, limits and all, when quotas are switched off for the file system. */
export class BtrfsLimits implements KeptLimits {
  readonly #calls: BtrfsCalls;
  readonly #pathOf: (name: string) => string;

  /** `pathOf`: the subvolume of what somebody calls by a name. */
  constructor(calls: BtrfsCalls, pathOf: (name: string) => string) {
    this.#calls = calls;
    this.#pathOf = pathOf;
  }

  async inForce(name: string): Promise<number | null> {
    const path = this.#pathOf(name);
    const subvolume = await this.#calls.look(path);
    const group = subvolume === null ? null : await this.#calls.group(path, subvolume.id);
    return group?.maxReferencedBytes ?? null;
  }

  async obstacleTo(name: string): Promise<string | null> {
    const path = this.#pathOf(name);
    if ((await this.#calls.look(path)) === null)
      return `${path} is no subvolume, and no other directory can be limited: make it anew`;
    return (await this.#calls.quotas(path)) === 'off' ? quotasAreOff(path) : null;
  }

  async set(name: string, sizeBytes: number): Promise<void> {
    const path = this.#pathOf(name);
    try {
      await this.#calls.limit(path, { referencedBytes: sizeBytes });
    } catch (error) {
      if (errnoCodeOf(error) !== 'ENOENT') throw error;
      const id = String((await this.#calls.look(path))?.id ?? '');
      const cure = `btrfs qgroup create 0/${id} ${path}; btrfs quota rescan ${path}`;
      throw new ConflictError(`its quota group is gone; make it again, and repair again: ${cure}`, { cause: error });
    }
  }
}
