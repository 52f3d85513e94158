/**
 * Limited directories on Btrfs: each is a subvolume, whose group has the limit. Counted is all that the directory refers
 * to, also what shares its space with files elsewhere: a volume is as large as what is in it.
 */
import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidArgumentError } from '../../../base/errors.ts';
import { Undo } from '../../../base/undo.ts';
import type { BtrfsCalls } from '../../kernel/btrfs.ts';
import type { KeptLimits } from '../mending.ts';
import type { DirectoryQuotas, LimitedDirectory } from '../quota/types.ts';
import { deleteHere } from '../snapshot-directory.ts';
import { BtrfsLimits } from './limits.ts';
import { quotasAreOff } from './options.ts';
import { Subvolumes } from './subvolumes.ts';

const GROUPS = '.groups';

/** Options of {@link BtrfsQuotas.open}. */
export interface BtrfsQuotasOptions {
  /** Below which directories are limited; it is there, and on Btrfs. `.groups` in it is this one's own. */
  readonly root: string;
  readonly calls: BtrfsCalls;
}

export class BtrfsQuotas implements DirectoryQuotas {
  readonly obstacle: string | null;
  readonly limits: KeptLimits;
  readonly #root: string;
  readonly #calls: BtrfsCalls;
  readonly #subvolumes: Subvolumes;

  private constructor({ root, calls }: BtrfsQuotasOptions, obstacle: string | null) {
    this.obstacle = obstacle;
    this.#root = root;
    this.#calls = calls;
    this.limits = new BtrfsLimits(calls, (path) => path);
    this.#subvolumes = new Subvolumes(calls, join(root, GROUPS));
  }

  /** Looks whether quotas are on, and gives up what a killed daemon left of limits whose directories are gone. */
  static async open(options: BtrfsQuotasOptions): Promise<BtrfsQuotas> {
    const { root, calls } = options;
    const quotas = new BtrfsQuotas(options, (await calls.quotas(root)) === 'off' ? quotasAreOff(root) : null);
    await quotas.#subvolumes.dropGroups(root);
    return quotas;
  }

  async make(path: string, { sizeBytes, mode }: LimitedDirectory): Promise<void> {
    // They may have been switched on or off since.
    if ((await this.#calls.quotas(this.#root)) === 'off') throw new InvalidArgumentError(quotasAreOff(this.#root));
    await Undo.guard(async (undo) => {
      await this.#calls.create(path);
      undo.defer(async () => this.drop(path));
      await chmod(path, mode);
      await this.#calls.limit(path, { referencedBytes: sizeBytes });
    });
  }

  async usage(path: string): Promise<{ readonly usedBytes: number; readonly limitBytes: number } | null> {
    const subvolume = await this.#calls.look(path);
    const group = subvolume === null ? null : await this.#calls.group(path, subvolume.id);
    const limitBytes = group?.maxReferencedBytes ?? null;
    return group === null || limitBytes === null ? null : { usedBytes: group.referencedBytes, limitBytes };
  }

  async drop(path: string): Promise<void> {
    if ((await this.#calls.look(path)) !== null) await this.#subvolumes.destroy(path, this.#root, deleteHere);
  }
}
