/**
 * A store that moves from one storage driver to another, below a disk's directory:
 *
 *   await using store = await MigratingStore.make(join(disk.path, 'data'), 'overlay2');
 *   … store.engine.dockerOk(…); await store.engine.end();
 *   await store.killed('vfs', { steps: 1, afterMs: 20 });
 *   await store.migrate('vfs', '--remove-old'); store.use('vfs'); await store.engine.boot();
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { StoreFinding, StoreReport } from '../../src/engine/check/types.ts';
import type { MigrationReport, MigrationStep } from '../../src/engine/migration/types.ts';
import { run, TestEngine, type CommandResult } from './engine.ts';
import { MOORED } from './program.ts';

/** What a migration told and how it ended. */
export interface Moved extends Pick<CommandResult, 'code' | 'stderr'> {
  readonly report: MigrationReport & { readonly steps: readonly MigrationStep[] };
}

/** When a migration is killed: so many steps told, and so much later. */
export interface Moment {
  readonly steps: number;
  readonly afterMs: number;
}

export class MigratingStore implements AsyncDisposable {
  readonly dataRoot: string;
  readonly engine: TestEngine;
  readonly #scratch: string;

  private constructor(dataRoot: string, scratch: string, engine: TestEngine) {
    this.dataRoot = dataRoot;
    this.#scratch = scratch;
    this.engine = engine;
  }

  /** With an engine that runs with the driver. */
  static async make(dataRoot: string, driver: string): Promise<MigratingStore> {
    const scratch = mkdtempSync(join(tmpdir(), 'migrating-'));
    writeFileSync(join(scratch, 'empty.json'), '{}');
    const configFile = join(scratch, 'config.json');
    chooseIn(configFile, driver);
    const flags = ['--data-root', dataRoot, '--bridge', 'none', '--config-file', configFile];
    return new MigratingStore(dataRoot, scratch, await TestEngine.start(...flags));
  }

  /** The driver of the next start. */
  use(driver: string): void {
    chooseIn(this.#configFile, driver);
  }

  /** Runs `moored migrate-storage` to its end. */
  async migrate(driver: string, ...words: readonly string[]): Promise<Moved> {
    const { code, stdout, stderr } = await run(MOORED, this.#migrateWords(driver, '--json', ...words), {});
    if (stdout === '') throw new Error(`no report (${String(code)}): ${stderr}`);
    return { code, stderr, report: JSON.parse(stdout) as Moved['report'] };
  }

  /** Kills one at a moment, if it has not ended before; returns how many steps it had told. */
  async killed(driver: string, { steps, afterMs }: Moment, ...words: readonly string[]): Promise<number> {
    const child = spawn(MOORED, this.#migrateWords(driver, ...words), { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(child, 'close');
    const armed: NodeJS.Timeout[] = [];
    const arm = (): void => void armed.push(setTimeout(() => child.kill('SIGKILL'), afterMs));
    let told = 0;
    if (steps === 0) arm();
    for await (const _ of createInterface(child.stdout)) {
      told += 1;
      if (told === steps) arm();
    }
    await ended;
    armed.forEach(clearTimeout);
    return told;
  }

  /** What `moored check` finds, in the daemon or beside none. */
  async check(...words: readonly string[]): Promise<readonly StoreFinding[]> {
    const host = ['-H', `unix://${this.engine.socketPath}`];
    const all = ['check', '--json', ...words, ...this.#places(this.#configFile), ...host];
    const { code, stdout, stderr } = await run(MOORED, all, {});
    if (stdout === '') throw new Error(`no report (${String(code)}): ${stderr}`);
    return (JSON.parse(stdout) as StoreReport).findings;
  }

  /** Snapshots of a driver, whole, half made, half removed or without a name, and what waits for their end. */
  lyingAt(driver: string): readonly string[] {
    const root = join(this.dataRoot, driver);
    return ['', 'l', '.groups'].flatMap((inner) =>
      namesIn(join(root, inner)).filter((name) => !['l', '.groups'].includes(name)),
    );
  }

  /** What an unfinished write has left among the blobs. */
  get drafts(): readonly string[] {
    return namesIn(join(this.dataRoot, 'content', 'ingest'));
  }

  /** What is mounted below the store, or where trees are mounted to be packed. */
  get mounts(): readonly string[] {
    return readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' ')[1] ?? '')
      .filter((path) => [this.dataRoot, this.engine.root].some((root) => path.startsWith(`${root}/`)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine[Symbol.asyncDispose]();
    rmSync(this.#scratch, { recursive: true, force: true });
  }

  get #configFile(): string {
    return join(this.#scratch, 'config.json');
  }

  #migrateWords(driver: string, ...words: readonly string[]): readonly string[] {
    return ['migrate-storage', '--to', driver, ...words, ...this.#places(join(this.#scratch, 'empty.json'))];
  }

  #places(configFile: string): readonly string[] {
    const execRoot = join(this.engine.root, 'exec');
    return ['--data-root', this.dataRoot, '--exec-root', execRoot, '--config-file', configFile];
  }
}

function chooseIn(configFile: string, driver: string): void {
  writeFileSync(configFile, JSON.stringify({ 'storage-driver': driver }));
}

function namesIn(directory: string): readonly string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}
