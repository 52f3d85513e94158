import type { Mount } from '../../oci/mount.ts';

/**
 * The snapshots that are mounted for one container (its root, images mounted into it). Each is held once, from when its
 * driver was asked how to mount it until all of it is unmounted, however often it is mounted meanwhile; see
 * storage/driver.ts.
 */
export class SnapshotHolds {
  readonly #held = new Map<string, readonly Mount[]>();
  /** False until this engine has mounted anything for it: an earlier engine may have. */
  #isKnown = false;

  /** How to mount a snapshot; `give` is asked for it where it is not held yet, and may be what has just made it. */
  async take(key: string, give: () => Promise<readonly Mount[]>): Promise<readonly Mount[]> {
    const held = this.#held.get(key);
    if (held !== undefined) return held;
    const mounts = await give();
    this.#isKnown = true;
    this.#held.set(key, mounts);
    return mounts;
  }

  /** Forgets all holds and tells which they were; of a container that an earlier engine had: `all`. */
  end(all: () => readonly string[]): readonly string[] {
    const keys = this.#isKnown ? [...this.#held.keys()] : all();
    this.#isKnown = true;
    this.#held.clear();
    return keys;
  }
}
