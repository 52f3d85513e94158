/** A small disk for chaos: a tmpfs, which grows and shrinks, or a file system of a kind that is filled up. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LoopDisk, type DiskKind } from './loop-disk.ts';

export interface ChaosDisk extends AsyncDisposable {
  readonly path: string;
  /** Leaves no more than about this much room. */
  tighten(spareKib: number): void;
  loosen(): void;
}

export async function makeChaosDisk(kind: DiskKind | 'tmpfs', sizeMib: number): Promise<ChaosDisk> {
  return kind === 'tmpfs' ? new Tmpfs(sizeMib) : new Filled(await LoopDisk.make(kind, { sizeMib }));
}

class Tmpfs implements ChaosDisk {
  readonly path = mkdtempSync(join(tmpdir(), 'moored-chaos-'));
  readonly #sizeMib: number;

  constructor(sizeMib: number) {
    this.#sizeMib = sizeMib;
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${String(sizeMib)}m`, 'moored-chaos', this.path]);
  }

  tighten(spareKib: number): void {
    for (;;) {
      const { blocks, bfree, bsize } = statfsSync(this.path);
      const usedKib = ((blocks - bfree) * bsize) / 1024;
      try {
        this.#resize(`${String(Math.ceil(usedKib + spareKib))}k`);
        return;
      } catch {
        // More has been written meanwhile.
      }
    }
  }

  loosen(): void {
    this.#resize(`${String(this.#sizeMib)}m`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    execFileSync('umount', ['-l', this.path]);
    rmSync(this.path, { recursive: true, force: true });
    await Promise.resolve();
  }

  #resize(size: string): void {
    execFileSync('mount', ['-o', `remount,size=${size}`, this.path], { stdio: 'pipe' });
  }
}

class Filled implements ChaosDisk {
  readonly path: string;
  readonly #disk: LoopDisk;
  readonly #ballast: string;

  constructor(disk: LoopDisk) {
    this.#disk = disk;
    this.path = join(disk.path, 'data');
    this.#ballast = join(disk.path, 'ballast');
  }

  tighten(spareKib: number): void {
    const bytes = Math.max(this.#disk.freeBytes - spareKib * 1024, 1);
    try {
      execFileSync('fallocate', ['-l', String(bytes), this.#ballast], { stdio: 'pipe' });
    } catch {
      // The daemon was quicker: what is left is little as well.
      writeFileSync(this.#ballast, '');
    }
  }

  loosen(): void {
    rmSync(this.#ballast, { force: true });
    execFileSync('sync', ['-f', this.#disk.path]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#disk[Symbol.asyncDispose]();
  }
}
