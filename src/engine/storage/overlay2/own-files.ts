/**
 * What the snapshots themselves brought, in overlay's form. A snapshot is known to its children by its *link*: the path of
 * its files below `<root>/l`, short, since mount(2) takes one page of options.
 *
 * ```
 * <root>/l/<8 letters>/           the files of a snapshot without a limit; its work directory lies elsewhere
 * <root>/l/<8 letters>/upper/     the files of a limited one …
 * <root>/l/<8 letters>/work/      … and its work directory: overlay renames between the two, which no file system lets
 *                                 anybody do across the bounds of a limit
 * ```
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readlinkSync, symlinkSync } from 'node:fs';
import { mkdir, rename, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoCodeOf } from '../../../base/errors.ts';
import type { DirectoryQuotas } from '../quota/types.ts';
import type { DeleteTree } from '../snapshot-directory.ts';

/** Holds the snapshots' own files. */
export const LINKS_DIRECTORY = 'l';
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const LENGTH = 8;
const UPPER = 'upper';
const WORK = 'work';
/** In a snapshot's directory: leads to its files, and is what says whose they are. */
const DIFF = 'diff';

export class OwnFiles {
  readonly directory: string;
  readonly #quotas: DirectoryQuotas;

  /** `root`: the driver's directory. */
  constructor(root: string, quotas: DirectoryQuotas) {
    this.directory = join(root, LINKS_DIRECTORY);
    this.#quotas = quotas;
  }

  /** Where the files of a link lie. */
  pathOf(link: string): string {
    return join(this.directory, link);
  }

  /** The work directory of a snapshot that lies in `snapshot`. */
  workOf(link: string, snapshot: string): string {
    return isLimited(link) ? join(this.directory, lettersOf(link), WORK) : join(snapshot, WORK);
  }

  /** Makes the directories of a new snapshot in `snapshot`, bounded as the link says. EEXIST when the letters are taken. */
  async make(link: string, snapshot: string, sizeBytes: number): Promise<void> {
    // In this order: should the letters be taken, the undo must not find the other snapshot's files behind `diff`.
    const own = this.pathOf(lettersOf(link));
    if (isLimited(link)) await this.#quotas.make(own, { sizeBytes, mode: 0o700 });
    else mkdirSync(own, { mode: 0o755 });
    try {
      symlinkSync(join('..', LINKS_DIRECTORY, link), join(snapshot, DIFF));
    } catch (error) {
      await this.remove(link, async (path) => rm(path, { recursive: true, force: true }));
      throw error;
    }
    if (isLimited(link)) mkdirSync(this.pathOf(link), { mode: 0o755 });
    mkdirSync(this.workOf(link, snapshot), { mode: 0o700 });
  }

  /** The link of the snapshot in a directory; null when that is missing or no link of ours. */
  linkOf(snapshot: string): string | null {
    const text = targetOf(join(snapshot, DIFF));
    const [, link] = /^\.\.\/l\/([A-Z2-7]{8}(?:\/upper)?)$/.exec(text) ?? [];
    return link ?? null;
  }

  /** From now on nothing leads from a snapshot to files: its removal takes none. */
  async unlink(snapshot: string): Promise<void> {
    await rm(join(snapshot, DIFF), { force: true });
  }

  /** Gives the files of `from`, the snapshot's in `snapshot`, to the name `to`, which is free. */
  async move(from: string, to: string, snapshot: string): Promise<void> {
    await this.unlink(snapshot);
    await mkdir(dirname(this.pathOf(to)), { recursive: true, mode: 0o700 });
    await rename(this.pathOf(from), this.pathOf(to));
    await symlink(join('..', LINKS_DIRECTORY, to), join(snapshot, DIFF));
  }

  /** Deletes the files of a link, and the limit on them. */
  async remove(link: string, deleteTree: DeleteTree): Promise<void> {
    const path = this.pathOf(lettersOf(link));
    if (isLimited(link)) await this.#quotas.drop(path);
    await deleteTree(path);
  }

  /** Gives up the limit on files whose snapshot is gone. */
  async unlimit(path: string): Promise<void> {
    await this.#quotas.drop(path);
  }
}

/** Empty for what is no link. */
function targetOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (errnoCodeOf(error) === 'ENOENT' || errnoCodeOf(error) === 'EINVAL') return '';
    throw error;
  }
}

/** 40 random bits: with 100,000 snapshots the chance that a new one meets an old one (and fails) is 1 in 10 million. */
export function newLink({ limited }: { readonly limited: boolean }): string {
  const letters = [...randomBytes(LENGTH)].map((byte) => ALPHABET[byte & 31]).join('');
  return limited ? `${letters}/${UPPER}` : letters;
}

/** The entry of `<root>/l` that a link leads into. */
export function lettersOf(link: string): string {
  return link.slice(0, LENGTH);
}

/** True for the link of a snapshot that was made with a limit. */
export function isLimited(link: string): boolean {
  return link.endsWith(`/${UPPER}`);
}
