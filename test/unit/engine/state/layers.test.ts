import { mkdtempSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { ChainId, DiffId } from '../../../../src/engine/oci/digest.ts';
import { Database } from '../../../../src/engine/state/database.ts';
import { layerCounts, LayerTable, type LayerRow } from '../../../../src/engine/state/layers.ts';
import { MIGRATIONS } from '../../../../src/engine/state/schema.ts';

const rowOf = (chainId: string, parent: string | null = null): LayerRow => ({
  chainId: chainId as ChainId,
  parent: parent as ChainId | null,
  diffId: `diff of ${chainId}` as DiffId,
  sizeBytes: 1,
});

it('keeps the layers of each driver apart', () => {
  using database = Database.open(':memory:');
  const [overlay2, vfs] = [new LayerTable(database, 'overlay2'), new LayerTable(database, 'vfs')];
  overlay2.insert(rowOf('a'));
  overlay2.insert(rowOf('b', 'a'));
  vfs.insert(rowOf('a'));
  expect(vfs.all()).toEqual([rowOf('a')]);
  expect([overlay2.hasChildren('a' as ChainId), vfs.hasChildren('a' as ChainId)]).toEqual([true, false]);
  expect(() => vfs.insert(rowOf('c', 'b'))).toThrow(/FOREIGN KEY/);
  expect(() => overlay2.remove('a' as ChainId)).toThrow(/FOREIGN KEY/);
  expect(vfs.remove('a' as ChainId)).toBe(true);
  expect(overlay2.get('a' as ChainId)).toEqual(rowOf('a'));
  expect(layerCounts(database)).toEqual(new Map([['overlay2', 2]]));
});

/** Before layers had drivers. */
const OLD_SCHEMA = MIGRATIONS.findIndex((migration) => migration.includes('layer_of_driver'));

it('lets one driver claim what an engine left that knew no drivers', () => {
  const directory = mkdtempSync(join(tmpdir(), 'layers-'));
  try {
    const path = join(directory, 'state.db');
    const old = new DatabaseSync(path);
    for (const migration of MIGRATIONS.slice(0, OLD_SCHEMA)) old.exec(migration);
    old.exec(`PRAGMA user_version=${String(OLD_SCHEMA)}`);
    old.exec("INSERT INTO layer VALUES ('b', 'a', 'diff of b', 1), ('a', NULL, 'diff of a', 1)");
    old.close();
    using database = Database.open(path);
    const [overlay2, vfs] = [new LayerTable(database, 'overlay2'), new LayerTable(database, 'vfs')];
    expect([overlay2.all(), overlay2.unclaimed().toSorted()]).toEqual([[], ['a', 'b']]);
    overlay2.claim();
    expect(overlay2.all().toSorted((x, y) => (x.chainId < y.chainId ? -1 : 1))).toEqual([rowOf('a'), rowOf('b', 'a')]);
    expect([vfs.all(), vfs.unclaimed()]).toEqual([[], []]);
    expect(() => overlay2.remove('a' as ChainId)).toThrow(/FOREIGN KEY/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
