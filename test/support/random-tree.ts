/** Trees of every kind of file, changed at random but the same for the same seed, and all that can be seen of them. */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  closeSync,
  ftruncateSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import type { FileCalls } from '../../src/engine/kernel/files.ts';

/** Names are bytes: one UTF-16 unit each. */
type Name = string;

const NAMES: readonly Name[] = [
  'a',
  'b',
  'etc',
  'file',
  'x.y',
  'with space',
  'caf\u00c3\u00a9',
  'not-utf8-\u00ff',
  'n\nl',
  `long-${'l'.repeat(180)}`,
  'z',
  '-dash',
];
const MAX_DEPTH = 4;
const NS_PER_SECOND = 1_000_000_000n;

/** Numbers by xorshift: tests tell their seed, not their luck. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 1;
  }

  below(limit: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return (x >>> 0) % limit;
  }

  pick<T>(things: readonly T[]): T {
    return things[this.below(things.length)]!;
  }
}

/** Does `steps` things to a tree: makes, changes, replaces, links, renames and deletes. */
export function shake(root: string, files: FileCalls, dice: Dice, steps: number): void {
  const shaker = new Shaker(root, files, dice);
  for (let step = 0; step < steps; step += 1) shaker.step();
}

class Shaker {
  readonly #root: string;
  readonly #files: FileCalls;
  readonly #dice: Dice;

  constructor(root: string, files: FileCalls, dice: Dice) {
    this.#root = root;
    this.#files = files;
    this.#dice = dice;
  }

  step(): void {
    const path = this.#path();
    try {
      this.#act(path);
    } catch (error) {
      // A directory in the way, a link across: the next step does something else.
      const { code } = error as { readonly code?: string };
      if (
        !['EEXIST', 'ENOENT', 'ENOTDIR', 'ENOTEMPTY', 'EISDIR', 'EINVAL', 'ELOOP', 'EXDEV', 'EPERM'].includes(
          code ?? '',
        )
      )
        throw error;
    }
  }

  #act(path: Name): void {
    const dice = this.#dice;
    const at = this.#bytes(path);
    switch (dice.below(14)) {
      case 0:
      case 1:
      case 2:
        return this.#content(path, 'x'.repeat(dice.below(3000)));
      case 3:
      case 4:
        mkdirSync(at);
        return this.#describe(path);
      case 5:
        symlinkSync(dice.pick(['/etc/passwd', '../..', 'a', 'x'.repeat(150)]), at);
        lchownSync(at, dice.below(9), dice.below(9));
        return this.#time(path);
      case 6:
        return linkSync(this.#bytes(this.#path()), at);
      case 7:
        return rmSync(at, { recursive: true });
      case 8:
        return renameSync(this.#bytes(this.#path()), at);
      case 9:
        rmSync(at, { recursive: true, force: true });
        mkdirSync(at);
        return this.#describe(path);
      case 10:
        return this.#node(path);
      case 11:
        return this.#holes(path);
      case 12:
        return this.#describe(path);
      default:
        rmSync(at, { recursive: true, force: true });
        return this.#content(path, String(dice.below(1e6)));
    }
  }

  #content(path: Name, text: string): void {
    writeFileSync(this.#bytes(path), text, { flag: this.#exists(path) && !this.#isFile(path) ? 'wx' : 'w' });
    this.#describe(path);
  }

  #node(path: Name): void {
    const temporary = `${this.#root}/.node`;
    const [mode, device] = this.#dice.pick([
      [0o020000, this.#files.device(1, 3)],
      [0o060000, this.#files.device(8, 300)],
      [0o010000, 0n],
    ] as const);
    this.#files.mknod(temporary, mode | 0o640, device);
    try {
      renameSync(temporary, this.#bytes(path));
    } catch (error) {
      rmSync(temporary);
      throw error;
    }
    this.#time(path);
  }

  #holes(path: Name): void {
    if (this.#exists(path) && !this.#isFile(path)) return;
    const fd = openSync(this.#bytes(path), 'w');
    try {
      ftruncateSync(fd, 3_000_000);
      writeSync(fd, 'data', 1_000_000 + this.#dice.below(100_000));
      if (this.#dice.below(2) === 0) writeSync(fd, 'end', 2_999_997);
    } finally {
      closeSync(fd);
    }
    this.#describe(path);
  }

  /** Owner, mode, attributes, time. */
  #describe(path: Name): void {
    const at = this.#bytes(path);
    const info = lstatSync(at);
    if (info.isSymbolicLink()) return;
    lchownSync(at, this.#dice.pick([0, 1, 1000, 3_000_000]), this.#dice.below(100));
    chmodSync(at, this.#dice.pick([0o644, 0o755, 0o600, 0o4755, 0o2750, 0o1777, 0o000]));
    const text = at.toString();
    if (Buffer.from(text).equals(at) && (info.isFile() || info.isDirectory())) {
      if (this.#dice.below(3) === 0)
        this.#files.setXattr(text, 'user.note', Buffer.from([this.#dice.below(256), 0, 10]));
      if (info.isFile() && this.#dice.below(4) === 0) {
        this.#files.setXattr(
          text,
          'security.capability',
          Buffer.from('0100000200200000000000000000000000000000', 'hex'),
        );
      }
    }
    this.#time(path);
  }

  #time(path: Name): void {
    const at = this.#bytes(path).toString();
    if (!Buffer.from(at).equals(this.#bytes(path))) return;
    const time = this.#dice.pick([1n, 1_700_000_000n, -86_400n, 9_000_000_000n]) * NS_PER_SECOND;
    this.#files.setTimes(at, time, time + BigInt(this.#dice.below(2) * this.#dice.below(1_000_000_000)));
  }

  #path(): Name {
    const depth = 1 + this.#dice.below(MAX_DEPTH);
    let path = '';
    for (let level = 0; level < depth; level += 1) {
      const next = path === '' ? this.#dice.pick(NAMES) : `${path}/${this.#dice.pick(NAMES)}`;
      if (level < depth - 1 && !this.#isDirectory(next)) return next;
      path = next;
    }
    return path;
  }

  #bytes(path: Name): Buffer {
    return Buffer.from(`${this.#root}/${path}`, 'latin1');
  }

  #exists(path: Name): boolean {
    return lstatSync(this.#bytes(path), { throwIfNoEntry: false }) !== undefined;
  }

  #isFile(path: Name): boolean {
    return lstatSync(this.#bytes(path), { throwIfNoEntry: false })?.isFile() === true;
  }

  #isDirectory(path: Name): boolean {
    return lstatSync(this.#bytes(path), { throwIfNoEntry: false })?.isDirectory() === true;
  }
}

/** Everything that a layer keeps of a tree, one line a file, without the root itself. */
export function portrait(root: string, files: FileCalls): readonly string[] {
  const lines: string[] = [];
  const links = new Map<bigint, Name>();
  const walk = (directory: Name): void => {
    for (const base of readdirSync(Buffer.from(`${root}/${directory}`, 'latin1'), { encoding: 'latin1' }).sort()) {
      const path = directory === '' ? base : `${directory}/${base}`;
      const at = Buffer.from(`${root}/${path}`, 'latin1');
      const info = lstatSync(at, { bigint: true });
      const first = info.isDirectory() || info.nlink < 2n ? null : (links.get(info.ino) ?? null);
      links.set(info.ino, first ?? path);
      const xattrs = files.listXattrs(at).map((name) => `${name}=${files.getXattr(at, name)?.toString('hex') ?? ''}`);
      const facts = {
        path,
        mode: info.mode.toString(8),
        owner: `${String(info.uid)}:${String(info.gid)}`,
        device: String(info.rdev),
        mtimeNs: String(info.mtimeNs),
        xattrs: xattrs.sort(),
        ...(info.isDirectory() ? {} : { nlink: String(info.nlink), first }),
        ...(info.isFile() ? { size: String(info.size), content: hashOf(at) } : {}),
        ...(info.isSymbolicLink() ? { target: readlinkSync(at) } : {}),
      };
      lines.push(JSON.stringify(facts));
      if (info.isDirectory()) walk(path);
    }
  };
  walk('');
  return lines;
}

function hashOf(path: Buffer): string {
  return createHash('sha1').update(readFileSync(path)).digest('hex').slice(0, 8);
}
