/** Removals that fail half way, where the file system had no room to move the snapshot aside. */
import type * as FileSystem from 'node:fs';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ConflictError, NotFoundError } from '../../../../src/base/errors.ts';
import { SnapshotDirectory, type SnapshotRecord } from '../../../../src/engine/storage/snapshot-directory.ts';

const rename = vi.hoisted(() => ({ failure: null as string | null }));

vi.mock('node:fs', async (importOriginal) => {
  const original = await importOriginal<typeof FileSystem>();
  const renameSync = (from: string, to: string): void => {
    if (rename.failure !== null && to.includes('/.old-')) {
      throw Object.assign(new Error(rename.failure), { code: rename.failure });
    }
    original.renameSync(from, to);
  };
  return { ...original, renameSync, default: original };
});

describe('the removal of a snapshot', () => {
  let root = '';
  let deletes = true;
  let snapshots: SnapshotDirectory;

  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), 'snapshots-'));
    deletes = true;
    const discard = async (): Promise<void> => {
      if (!deletes) throw new Error('cannot be deleted now');
      return Promise.resolve();
    };
    snapshots = new SnapshotDirectory(root, { discard, deleteLayer: async () => {} }, []);
    await make('base', null);
    await make('top', 'base');
  });

  afterEach(() => {
    rename.failure = null;
    rmSync(root, { recursive: true });
  });

  async function make(name: string, parent: string | null): Promise<void> {
    const record: SnapshotRecord = { kind: 'active', parent, link: '', lower: [] };
    await snapshots.create(`new-${name}`, record, async () => {});
    await snapshots.commit(`new-${name}`, name);
  }

  it('leaves nothing that passes for a snapshot when it fails in its place on a full disk', async () => {
    rename.failure = 'ENOSPC';
    deletes = false;
    await expect(snapshots.remove('top')).rejects.toThrow('cannot be deleted now');
    expect(existsSync(snapshots.pathOf('top'))).toBe(true);
    expect(await snapshots.find('top')).toBeNull();
    expect((await Array.fromAsync(snapshots.walk())).map(({ key }) => key)).toEqual(['base']);
    await expect(make('higher', 'top')).rejects.toThrow(NotFoundError);
    deletes = true;
    // Its parent may go before what is left of it does.
    await snapshots.remove('base');
    await snapshots.remove('top');
    expect(existsSync(snapshots.pathOf('top'))).toBe(false);
  });

  it('leaves a whole snapshot when it cannot begin', async () => {
    rename.failure = 'EIO';
    await expect(snapshots.remove('top')).rejects.toThrow('EIO');
    expect(await snapshots.find('top')).toMatchObject({ kind: 'committed', parent: 'base' });
    await make('higher', 'top');
    rename.failure = null;
    await expect(snapshots.remove('top')).rejects.toThrow(ConflictError);
  });
});
