/** Compares a layer's tree with the same layer unpacked again: content, type, owner, mode, time, links, attributes. */
import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync, type BigIntStats } from 'node:fs';
import type { FileCalls } from '../../../kernel/files.ts';
import type { MatchJob } from '../job.ts';
import type { ByteString } from '../tar/entry.ts';
import { Cancelled, type JobControl } from '../unpack/unpack-blob.ts';

/** More say nothing more. */
const MAX_DIFFERENCES = 20;
const CHUNK_BYTES = 256 * 1024;
/** The kernel notes in these how overlayfs came by a file. */
const OVERLAY_NOTES = /^(?:trusted|user)\.overlay\.(?:origin|impure|nlink|upper|uuid|metacopy)$/;

/** How `actual` differs from `expected`, in words; up to {@link MAX_DIFFERENCES}. Nobody writes to either meanwhile. */
export function matchTrees(job: MatchJob, files: FileCalls, control: JobControl): readonly string[] {
  const match = new TreeMatch(job, files, control);
  match.directory('');
  return match.differences;
}

class TreeMatch {
  readonly differences: string[] = [];
  readonly #job: MatchJob;
  readonly #files: FileCalls;
  readonly #control: JobControl;
  readonly #buffers = [Buffer.allocUnsafe(CHUNK_BYTES), Buffer.allocUnsafe(CHUNK_BYTES)] as const;

  constructor(job: MatchJob, files: FileCalls, control: JobControl) {
    this.#job = job;
    this.#files = files;
    this.#control = control;
  }

  directory(path: ByteString): void {
    const [expected, actual] = [this.#names(this.#job.expected, path), this.#names(this.#job.actual, path)];
    for (const name of actual) if (!expected.has(name)) this.#note(join(path, name), 'is not in the layer');
    for (const name of expected) {
      if (this.#control.isCancelled()) throw new Cancelled();
      if (this.differences.length >= MAX_DIFFERENCES) return;
      const child = join(path, name);
      if (actual.has(name)) this.#entry(child);
      else this.#note(child, 'is missing');
    }
  }

  #entry(path: ByteString): void {
    const [expected, actual] = [this.#info(this.#job.expected, path), this.#info(this.#job.actual, path)];
    const wrong = this.#wrongWith(path, expected, actual);
    if (wrong !== null) this.#note(path, wrong);
    else if (expected.isDirectory()) this.directory(path);
  }

  #wrongWith(path: ByteString, expected: BigIntStats, actual: BigIntStats): string | null {
    if (expected.mode !== actual.mode) return 'has another type or mode';
    if (expected.uid !== actual.uid || expected.gid !== actual.gid) return 'has another owner';
    if (expected.rdev !== actual.rdev) return 'is another device';
    if (expected.isSymbolicLink())
      return this.#target('expected', path) === this.#target('actual', path) ? null : 'leads elsewhere';
    if (expected.isFile()) {
      if (expected.size !== actual.size) return `has ${String(actual.size)} bytes in place of ${String(expected.size)}`;
      if (!this.#isSameContent(path)) return 'has other content';
    }
    // A directory's time follows what is done in it; overlay's own work changes it as well.
    // Nor has a whiteout a time of its own.
    const isTimed = !expected.isDirectory() && !(expected.isCharacterDevice() && expected.rdev === 0n);
    if (isTimed && expected.mtimeNs !== actual.mtimeNs) return 'has another time';
    return this.#attributes('expected', path) === this.#attributes('actual', path) ? null : 'has other attributes';
  }

  #isSameContent(path: ByteString): boolean {
    const [one, other] = this.#buffers;
    const expected = openSync(at(this.#job.expected, path), 'r');
    try {
      const actual = openSync(at(this.#job.actual, path), 'r');
      try {
        for (;;) {
          const [a, b] = [readSync(expected, one), readSync(actual, other)];
          if (a !== b || one.compare(other, 0, b, 0, a) !== 0) return false;
          if (a === 0) return true;
          if (this.#control.isCancelled()) throw new Cancelled();
        }
      } finally {
        closeSync(actual);
      }
    } finally {
      closeSync(expected);
    }
  }

  #attributes(side: 'expected' | 'actual', path: ByteString): string {
    const full = at(this.#job[side], path);
    const names = this.#files.listXattrs(full).filter((name) => !OVERLAY_NOTES.test(name));
    return names
      .toSorted()
      .map((name) => `${name}=${this.#files.getXattr(full, name)?.toString('hex') ?? ''}`)
      .join('\n');
  }

  #target(side: 'expected' | 'actual', path: ByteString): string {
    return readlinkSync(at(this.#job[side], path), { encoding: 'latin1' });
  }

  #info(root: string, path: ByteString): BigIntStats {
    return lstatSync(at(root, path), { bigint: true });
  }

  #names(root: string, path: ByteString): ReadonlySet<ByteString> {
    return new Set(readdirSync(at(root, path), { encoding: 'latin1' }));
  }

  #note(path: ByteString, what: string): void {
    if (this.differences.length < MAX_DIFFERENCES) {
      this.differences.push(`/${Buffer.from(path, 'latin1').toString()} ${what}`);
    }
  }
}

function join(path: ByteString, name: ByteString): ByteString {
  return path === '' ? name : `${path}/${name}`;
}

/** Names are bytes and need not be UTF-8. */
function at(root: string, path: ByteString): Buffer {
  return Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, 'latin1')]);
}
