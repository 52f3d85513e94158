/**
 * Files as they were before each change, in a directory that only root reads:
 *
 *   CHECKPOINT.json   one backup: {"checkpoint", "timeMs", "uid", "revision", "path", "content": base64 or null}
 *   pending.json      the change that waits for Confirm: {"checkpoint", "deadlineMs", "durationMs", "writtenDigest"}
 *
 * Synchronous and small: the daemon reads the pending change before it reads its configuration.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { unlessMissing } from '../../config/files.ts';
import { replaceFile } from '../../config/sysconfig-editing.ts';

export interface Backup {
  readonly checkpoint: string;
  readonly timeMs: number;
  /** Who made the change that followed. */
  readonly uid: number;
  /** Of all configuration files at that time. */
  readonly revision: string;
  readonly path: string;
  /** Null: there was no such file. */
  readonly content: Buffer | null;
}

export interface PendingChange {
  readonly checkpoint: string;
  readonly deadlineMs: number;
  readonly durationMs: number;
  /** Of the content that was written, to tell whether somebody has edited it since. */
  readonly writtenDigest: string;
}

export class BackupStore {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Keeps a file's content and returns the checkpoint. The oldest beyond {@link MAX_BACKUPS} go. */
  save(backup: Omit<Backup, 'checkpoint'>): string {
    const stamp = new Date(backup.timeMs).toISOString().replace(/[-:]|\.\d+/g, '');
    const checkpoint = `${stamp}-${randomBytes(4).toString('hex')}`;
    const { content, ...facts } = backup;
    this.#write(`${checkpoint}.json`, { checkpoint, ...facts, content: content?.toString('base64') ?? null });
    const pending = this.pending()?.checkpoint;
    for (const old of this.list().slice(MAX_BACKUPS)) {
      if (old.checkpoint !== pending) this.remove(old.checkpoint);
    }
    return checkpoint;
  }

  /** Null when there is none, or what is there is no backup. */
  load(checkpoint: string): Backup | null {
    if (!CHECKPOINT.test(checkpoint)) return null;
    const document = this.#read(`${checkpoint}.json`);
    if (document === null) return null;
    const { timeMs, uid, revision, path, content } = document;
    if (typeof timeMs !== 'number' || typeof uid !== 'number' || typeof revision !== 'string') return null;
    if (typeof path !== 'string' || (content !== null && typeof content !== 'string')) return null;
    return {
      checkpoint,
      timeMs,
      uid,
      revision,
      path,
      content: content === null ? null : Buffer.from(content, 'base64'),
    };
  }

  /** Newest first. */
  list(): readonly Backup[] {
    const names = unlessMissing(() => readdirSync(this.#directory), []);
    return names
      .filter((name) => name.endsWith('.json') && CHECKPOINT.test(name.slice(0, -5)))
      .flatMap((name) => this.load(name.slice(0, -5)) ?? [])
      .sort((one, other) => other.timeMs - one.timeMs || (other.checkpoint < one.checkpoint ? -1 : 1));
  }

  remove(checkpoint: string): void {
    rmSync(join(this.#directory, `${checkpoint}.json`), { force: true });
  }

  /** The change that waits for Confirm; null when none does. */
  pending(): PendingChange | null {
    const document = this.#read(PENDING);
    if (document === null) return null;
    const { checkpoint, deadlineMs, durationMs, writtenDigest } = document;
    if (typeof checkpoint !== 'string' || typeof deadlineMs !== 'number') return null;
    if (typeof durationMs !== 'number' || typeof writtenDigest !== 'string') return null;
    return { checkpoint, deadlineMs, durationMs, writtenDigest };
  }

  setPending(change: PendingChange): void {
    this.#write(PENDING, change);
  }

  clearPending(): void {
    rmSync(join(this.#directory, PENDING), { force: true });
  }

  #write(name: string, document: object): void {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    replaceFile(join(this.#directory, name), Buffer.from(`${JSON.stringify(document)}\n`), { newFileMode: 0o600 });
  }

  #read(name: string): Readonly<Record<string, unknown>> | null {
    const text = unlessMissing(() => readFileSync(join(this.#directory, name), 'utf8'), null);
    if (text === null) return null;
    try {
      const document: unknown = JSON.parse(text);
      return typeof document === 'object' && document !== null ? (document as Record<string, unknown>) : null;
    } catch {
      // Not ours, or damaged: as good as none.
      return null;
    }
  }
}

export function digestOf(content: Uint8Array | null): string {
  return content === null ? '-' : createHash('sha256').update(content).digest('hex');
}

/** Enough to find yesterday's mistake, few enough to read the list. */
const MAX_BACKUPS = 20;
const PENDING = 'pending.json';
const CHECKPOINT = /^\d{8}T\d{6}Z-[0-9a-f]{8}$/;
