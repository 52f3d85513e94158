/** `snapshot.json`: what a snapshot is, written in the directory that is its own. */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { diskFault } from '../../base/errno-text.ts';
import { DataLossError, errnoCodeOf } from '../../base/errors.ts';
import type { SnapshotKind } from './driver.ts';

/** Content of `snapshot.json`. */
export interface SnapshotRecord {
  readonly kind: SnapshotKind;
  readonly parent: string | null;
  /** Name of the directory with this snapshot's own files; empty for a view that has none. */
  readonly link: string;
  /** Links of all parents, nearest first. */
  readonly lower: readonly string[];
}

const RECORD = 'snapshot.json';

/** Null when there is none. DataLossError. */
export async function readRecord(directory: string): Promise<SnapshotRecord | null> {
  const path = join(directory, RECORD);
  return parseRecord(path, async () => readFile(path, 'utf8'));
}

/** The same on this thread: others take several times as long for a few bytes. */
export async function readRecordAtOnce(directory: string): Promise<SnapshotRecord | null> {
  const path = join(directory, RECORD);
  return parseRecord(path, async () => readFileSync(path, 'utf8'));
}

async function parseRecord(path: string, read: () => Promise<string>): Promise<SnapshotRecord | null> {
  try {
    return JSON.parse(await read()) as SnapshotRecord;
  } catch (error) {
    if (errnoCodeOf(error) === 'ENOENT') return null;
    if (error instanceof SyntaxError) throw new DataLossError(`${path} is damaged`, { cause: error });
    throw error;
  }
}

/** What is left is no snapshot. Idempotent. */
export function dropRecord(directory: string): void {
  rmSync(join(directory, RECORD), { force: true });
}

/** Of a snapshot that is worth nothing until all of it is there. */
export function writeFirstRecord(directory: string, record: SnapshotRecord): void {
  const path = join(directory, RECORD);
  try {
    writeFileSync(path, JSON.stringify(record), { mode: 0o600 });
  } catch (error) {
    throw diskFault('write', path, error);
  }
}

/** Whoever is killed meanwhile leaves the old one; a power cut may leave neither, until the file system is written out. */
export function replaceRecord(directory: string, record: SnapshotRecord): void {
  const temporary = join(directory, `${RECORD}.new`);
  try {
    writeFileSync(temporary, JSON.stringify(record), { mode: 0o600 });
    renameSync(temporary, join(directory, RECORD));
  } catch (error) {
    throw diskFault('write', temporary, error);
  }
}

/** On the disk when it returns. */
export async function replaceRecordDurably(directory: string, record: SnapshotRecord): Promise<void> {
  const temporary = join(directory, `${RECORD}.new`);
  try {
    await using file = await open(temporary, 'w', 0o600);
    await file.writeFile(JSON.stringify(record));
    await file.sync();
  } catch (error) {
    throw diskFault('write', temporary, error);
  }
  await rename(temporary, join(directory, RECORD));
}
