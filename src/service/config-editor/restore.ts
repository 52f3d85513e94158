import { rmSync } from 'node:fs';
import { HOST_FILES } from '../../config/files.ts';
import { replaceFile, type FileEffects } from '../../config/sysconfig-editing.ts';
import { BackupStore, digestOf, type Backup } from './backups.ts';

export interface RestoreOptions {
  readonly nowMs: number;
  /** Who asks; 0 for nobody but the clock. */
  readonly uid: number;
  /** Of all configuration files now. */
  readonly revision: string;
  /** What the file is expected to hold; anything else is somebody's work and kept as a backup. Null: keep in any case. */
  readonly writtenDigest: string | null;
  readonly effects?: FileEffects;
}

/** Puts a file back as the backup has it. What it holds now is kept where nobody else has it. */
export function restore(store: BackupStore, backup: Backup, options: RestoreOptions): void {
  const { nowMs, uid, revision, writtenDigest, effects } = options;
  const content = HOST_FILES.read(backup.path);
  const digest = digestOf(content);
  if (digest === digestOf(backup.content)) return;
  if (digest !== writtenDigest) store.save({ timeMs: nowMs, uid, revision, path: backup.path, content });
  putContent(backup.path, backup.content, effects);
}

/** Gives a file its content at once; null: there is to be no such file. */
export function putContent(path: string, content: Buffer | null, effects?: FileEffects): void {
  if (content === null) rmSync(path, { force: true });
  else replaceFile(path, content, effects === undefined ? {} : { effects });
}

export interface RollBackOptions {
  readonly nowMs: number;
  /** Also a change whose time has not come: the daemon does not start with it. */
  readonly evenIfEarly?: boolean;
  readonly directory: string;
}

/**
 * For the start of the daemon, before it reads its configuration: a change that nobody has confirmed in time, perhaps
 * because the daemon did not survive it, goes back now. Returns what to tell the log; null when there was nothing to do.
 * Never throws: a start must not fail for it.
 */
export function rollBackUnconfirmed({ nowMs, evenIfEarly, directory }: RollBackOptions): string | null {
  try {
    const store = new BackupStore(directory);
    const pending = store.pending();
    if (pending === null || (nowMs < pending.deadlineMs && evenIfEarly !== true)) return null;
    const backup = store.load(pending.checkpoint);
    if (backup !== null) {
      restore(store, backup, { nowMs, uid: 0, revision: '', writtenDigest: pending.writtenDigest });
    }
    store.clearPending();
    return backup === null
      ? `the checkpoint ${pending.checkpoint} of an unconfirmed change is gone; the configuration stays as it is`
      : `nobody confirmed the last change of ${backup.path}: the file is as it was before`;
  } catch (error) {
    return `an unconfirmed change of the configuration cannot be undone: ${String(error)}`;
  }
}
