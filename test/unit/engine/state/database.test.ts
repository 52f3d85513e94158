import { DatabaseSync } from 'node:sqlite';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DataLossError, UnavailableError } from '../../../../src/base/errors.ts';
import { Database } from '../../../../src/engine/state/database.ts';
import { MIGRATIONS } from '../../../../src/engine/state/schema.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'moored-state-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

describe('state file', () => {
  it('is made with the newest schema and opens again', () => {
    const path = join(directory, 'state.db');
    {
      using db = Database.open(path);
      db.run('INSERT INTO fact VALUES (?, ?)', 'engine-id', 'x');
    }
    using db = Database.open(path);
    expect(db.get('SELECT value FROM fact WHERE key = ?', 'engine-id')).toEqual({ value: 'x' });
    expect(db.get('PRAGMA user_version')).toEqual({ user_version: BigInt(MIGRATIONS.length) });
  });

  it('from a newer engine is refused and left as it is', () => {
    const path = join(directory, 'state.db');
    const newer = new DatabaseSync(path);
    newer.exec('PRAGMA user_version=999');
    newer.close();
    const before = readFileSync(path);
    expect(() => Database.open(path)).toThrow(UnavailableError);
    expect(() => Database.open(path)).toThrow(/schema version 999, written by a newer engine/);
    expect(readFileSync(path).equals(before) || readFileSync(path).subarray(60, 64).readUInt32BE() === 999).toBe(true);
  });

  it('that is damaged is reported and never deleted', () => {
    const path = join(directory, 'state.db');
    writeFileSync(path, 'this is no database, but somebody may still want it'.repeat(200));
    const before = readFileSync(path);
    expect(() => Database.open(path)).toThrow(DataLossError);
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  it('with a damaged page is reported', () => {
    const path = join(directory, 'state.db');
    {
      using db = Database.open(path);
      for (let i = 0; i < 500; i += 1) db.run('INSERT INTO fact VALUES (?, ?)', `k${String(i)}`, 'v'.repeat(100));
    }
    const bytes = readFileSync(path);
    bytes.fill(0x5a, 8192, bytes.length - 4096);
    writeFileSync(path, bytes);
    expect(() => Database.open(path)).toThrow(DataLossError);
  });

  it('belongs to one engine at a time', () => {
    const path = join(directory, 'state.db');
    using first = Database.open(path);
    expect(() => Database.open(path)).toThrow(/is in use by another engine/);
    expect(first.all('SELECT * FROM fact')).toEqual([]);
  });

  it('rolls a transaction back as a whole, nested ones included', () => {
    using db = Database.open(':memory:');
    expect(() =>
      db.transaction(() => {
        db.run('INSERT INTO fact VALUES (?, ?)', 'a', '1');
        db.transaction(() => db.run('INSERT INTO fact VALUES (?, ?)', 'b', '2'));
        throw new Error('no');
      }),
    ).toThrow('no');
    expect(db.all('SELECT * FROM fact')).toEqual([]);
    expect(db.transaction(() => db.run('INSERT INTO fact VALUES (?, ?)', 'c', '3'))).toBe(1);
  });

  it('names a full disk as everything else does, rolls back and goes on', () => {
    const path = join(directory, 'state.db');
    using db = Database.open(path);
    const pages = Number(db.get('PRAGMA page_count')?.['page_count']);
    db.get(`PRAGMA max_page_count=${String(pages + 2)}`);
    const fill = (): void => {
      for (let i = 0; i < 50; i += 1) db.run('INSERT INTO fact VALUES (?, ?)', `k${String(i)}`, 'v'.repeat(4000));
    };
    const full = expect.objectContaining({ kind: 'unavailable', message: `write ${path}: no space left on device` });
    expect(() => db.transaction(fill)).toThrow(full);
    expect(db.all('SELECT * FROM fact')).toEqual([]);
    expect(fill).toThrow(full);
    db.transaction(() => db.run('DELETE FROM fact'));
    expect(db.transaction(() => db.run('INSERT INTO fact VALUES (?, ?)', 'a', '1'))).toBe(1);
  });

  it('says when its log is on the disk, and whether that failed', async () => {
    const path = join(directory, 'state.db');
    using db = Database.open(path);
    db.run('INSERT INTO fact VALUES (?, ?)', 'a', '1');
    await expect(db.settled()).resolves.toBeUndefined();
    rmSync(`${path}-wal`);
    await expect(db.settled()).rejects.toThrow(`${path}-wal`);
  });
});
