import { expect, it } from 'vitest';
import { ConflictError, DataLossError } from '../../../src/base/errors.ts';
import type { ContainerId } from '../../../src/base/ids.ts';
import {
  decodeRow,
  encodeDocument,
  encodeState,
  type ContainerDocument,
} from '../../../src/engine/containers/record.ts';
import type { Draft, UnfinishedInfo } from '../../../src/engine/content/store.ts';
import type { StoredImage } from '../../../src/engine/images/catalog.ts';
import { createMigration } from '../../../src/engine/migration/index.ts';
import type { MigrationReport, MigrationStep } from '../../../src/engine/migration/types.ts';
import type { ChainId, Digest, DiffId, ImageId } from '../../../src/engine/oci/digest.ts';
import type { ContainerRow } from '../../../src/engine/state/containers.ts';
import type { LayerRow } from '../../../src/engine/state/layers.ts';
import type { PackedChanges, PackedSocket, StorageRoom, StorageSide } from '../../../src/engine/storage/moving.ts';
import { exampleSpec } from '../../support/container-spec.ts';

const ROOT = { mode: 0o755, uid: 0, gid: 0, mtimeMs: 0, xattrs: new Map<string, Buffer>() };

/** A driver with layers and containers by name only. */
class FakeSide implements StorageSide {
  readonly name: string;
  readonly rows = new Map<ChainId, LayerRow>();
  readonly containers = new Map<string, ChainId | null>();
  /** What packing finds, where that is not the same everywhere. */
  readonly odd = new Map<string, DiffId>();
  sockets: readonly PackedSocket[] = [];
  unreadable: string | null = null;
  constructor(name: string) {
    this.name = name;
  }
  free: StorageRoom = { freeBytes: 1000, copiesParents: false };
  async settle(): Promise<void> {}
  async usage(): Promise<number> {
    return 10;
  }
  async room(): Promise<StorageRoom> {
    return this.free;
  }
  layer(chainId: ChainId): LayerRow | null {
    return this.rows.get(chainId) ?? null;
  }
  layers(): readonly LayerRow[] {
    return [...this.rows.values()];
  }
  async container(id: ContainerId): Promise<{ readonly parent: ChainId | null } | null> {
    const parent = this.containers.get(id);
    return parent === undefined ? null : { parent };
  }
  async unpack(row: LayerRow, blobPath: string): Promise<void> {
    if (blobPath.includes('damaged')) throw new DataLossError(`${blobPath} is damaged`);
    this.rows.set(row.chainId, row);
  }
  async pack(key: string): Promise<PackedChanges> {
    if (key === this.unreadable) throw new DataLossError(`${key} cannot be read`);
    return {
      diffId: this.odd.get(key) ?? (`changes of ${key}` as DiffId),
      isEmpty: false,
      root: ROOT,
      sockets: this.sockets,
    };
  }
  async adoptLayer(row: LayerRow): Promise<void> {
    this.rows.set(row.chainId, row);
  }
  async adoptContainer(id: ContainerId, { parent }: { readonly parent: ChainId | null }): Promise<void> {
    this.containers.set(id, parent);
  }
  async dropContainer(id: ContainerId): Promise<void> {
    this.containers.delete(id);
  }
  async removeAll(): Promise<number> {
    const count = this.rows.size + this.containers.size;
    this.rows.clear();
    this.containers.clear();
    return count;
  }
}

interface Story {
  /** Blob of each layer, lowest first; a chain of one image. */
  readonly blobs?: readonly string[];
  readonly missing?: readonly string[];
  readonly closed?: boolean;
  readonly mounted?: readonly string[];
  readonly removeOld?: boolean;
  readonly force?: boolean;
  /** Steps after which it is interrupted. */
  readonly until?: number;
  readonly arrange?: (vfs: FakeSide, overlay2: FakeSide) => void;
}

interface Told {
  readonly report: MigrationReport;
  readonly steps: readonly string[];
  readonly drivers: Readonly<Record<string, string>>;
  readonly movedTo: string | null;
  readonly vfs: FakeSide;
  readonly overlay2: FakeSide;
  /** How many containers the source still had when the state file was put on the disk. */
  readonly keptAt: number | null;
  /** Names of what lies unfinished among the blobs. */
  readonly drafts: readonly string[];
}

/** From vfs, with an image of layers l0, l1 … and containers one and two on it, to overlay2. */
async function migrate(story: Story): Promise<Told> {
  const { blobs = ['b0', 'b1'], missing = [], closed = false, mounted = [], removeOld = false, force = false } = story;
  const [vfs, overlay2] = [new FakeSide('vfs'), new FakeSide('overlay2')];
  const chain = blobs.map((_, index) => `l${String(index)}` as ChainId);
  for (const [index, chainId] of chain.entries()) {
    vfs.rows.set(chainId, {
      chainId,
      parent: chain[index - 1] ?? null,
      diffId: `d${String(index)}` as DiffId,
      sizeBytes: 1,
    });
  }
  const rows = ['one', 'two'].map((name) => rowOf(name));
  for (const { id } of rows) vfs.containers.set(id, chain.at(-1) ?? null);
  story.arrange?.(vfs, overlay2);
  let movedTo: string | null = null;
  let keptAt: number | null = null;
  const steps: MigrationStep[] = [];
  const drafts = ['draft-old', 'layer-resumable', 'draft-held'].map((name) => unfinished(name));
  const migration = createMigration({
    target: overlay2,
    sources: ['vfs'],
    open: async () => (closed ? Promise.reject(new ConflictError('vfs does not open: no')) : vfs),
    catalog: { all: () => [imageOf(chain, blobs)] },
    content: {
      stat: async (digest) => (missing.includes(digest) ? null : { digest, sizeBytes: 1 }),
      pathOf: async (digest) => `/blobs/${digest}`,
      unfinished: async () => drafts,
      dropUnfinished: async (name) =>
        drafts.splice(
          drafts.findIndex((draft) => draft.name === name),
          1,
        ).length > 0,
      draft: async () => ({ path: '/draft', [Symbol.asyncDispose]: async () => undefined }) as unknown as Draft,
    },
    containers: {
      all: () => rows,
      setDocument: (id, doc) => {
        const index = rows.findIndex((row) => row.id === id);
        rows[index] = { ...rows[index]!, doc };
      },
    },
    mounted: () => mounted,
    onMoved: (target) => void (movedTo = target),
    makeLasting: () => void (keptAt = vfs.containers.size),
  });
  const once = async (until: number): Promise<MigrationReport> => {
    const stop = new AbortController();
    const onStep = (step: MigrationStep): void => {
      steps.push(step);
      if (steps.length === until) stop.abort(new Error('interrupted'));
    };
    return migration.run({ removeOld, force, signal: stop.signal, onStep });
  };
  if (story.until !== undefined) await expect(once(story.until)).rejects.toThrow('interrupted');
  const report = await once(0);
  const drivers = Object.fromEntries(rows.map((row) => [row.name, decodeRow(row).document.storageDriver]));
  return {
    report,
    steps: steps.map((step) => `${step.subject} ${step.outcome}: ${step.detail}`),
    drivers,
    movedTo,
    vfs,
    overlay2,
    keptAt,
    drafts: drafts.map(({ name }) => name),
  };
}

function unfinished(name: string): UnfinishedInfo {
  const isHeld = name.endsWith('held');
  return { name, sizeBytes: 1, writtenAt: 0n as never, isHeld, isResumable: name.endsWith('resumable') };
}

function rowOf(name: string): ContainerRow {
  const document = { spec: exampleSpec(), mounts: [], storageDriver: 'vfs' } as unknown as ContainerDocument;
  const state = { status: 'exited', exitCode: 0, error: '' } as never;
  const live = { phase: 'settled', state, desired: 'stopped', sandbox: null, hasStarted: true, filesOf: null } as const;
  const id = `id-${name}` as ContainerId;
  return { id, name, imageId: 'i', createdAt: 0n as never, doc: encodeDocument(document), state: encodeState(live) };
}

function imageOf(chain: readonly ChainId[], blobs: readonly string[]): StoredImage {
  const layers = chain.map((chainId) => ({ chainId, sizeBytes: 1 }));
  const rootfs = { type: 'layers', diff_ids: chain.map((_, index) => `d${String(index)}` as DiffId) };
  const named = blobs.map((digest) => ({ digest: digest as Digest, sizeBytes: 1, mediaType: '' }));
  const document = { config: { rootfs }, sizeBytes: 1, layers, blobs: { manifest: null, layers: named } };
  return { id: 'image' as ImageId, document: document as unknown as StoredImage['document'] };
}

it('moves layers by their blobs, then containers, and removes the old ones when that is asked for', async () => {
  const kept = await migrate({});
  expect(kept.steps).toEqual([
    'l0 moved: unpacked from its blob',
    'l1 moved: unpacked from its blob',
    'one moved: from vfs',
    'two moved: from vfs',
  ]);
  expect([kept.report, kept.drivers, kept.movedTo, kept.vfs.containers.size]).toEqual([
    { layers: 2, containers: 2, failures: 0 },
    { one: 'overlay2', two: 'overlay2' },
    'overlay2',
    2,
  ]);
  const gone = await migrate({ removeOld: true });
  expect([gone.steps.at(-1), gone.vfs.rows.size]).toEqual(['vfs removed: 4 layers and containers', 0]);
});

it('copies the tree of a layer whose blob is damaged or gone', async () => {
  const { steps, report } = await migrate({ blobs: ['damaged', 'b1'], missing: ['b1'] });
  expect(steps.slice(0, 2)).toEqual(['l0 moved: copied from vfs', 'l1 moved: copied from vfs']);
  expect(report.failures).toBe(0);
});

it('tells what is lost, once, and deletes nothing then', async () => {
  const lost = await migrate({
    blobs: ['damaged', 'b1'],
    removeOld: true,
    arrange: (vfs) => void vfs.rows.delete('l0' as ChainId),
  });
  expect(lost.steps).toEqual([
    'l0 failed: /blobs/damaged is damaged',
    'l1 failed: the layer below it, l0, could not be moved',
    'one failed: layer l0, on which it stands, is missing',
    'two failed: layer l0, on which it stands, is missing',
    'vfs kept: not everything could be moved',
  ]);
  expect([lost.movedTo, lost.vfs.containers.size, lost.drivers]).toEqual([null, 2, { one: 'vfs', two: 'vfs' }]);
});

it('leaves a container where it is whose changes did not come out the same', async () => {
  const { steps, drivers, overlay2 } = await migrate({
    arrange: (_, side) => side.odd.set('id-one', 'other' as DiffId),
  });
  expect(steps).toContain('one failed: what was written differs from what was read (other, changes of id-one)');
  expect([drivers, [...overlay2.containers.keys()]]).toEqual([{ one: 'vfs', two: 'overlay2' }, ['id-two']]);
});

it('leaves containers where they are whose sockets were not made', async () => {
  const socket = { path: 'run/app.sock', mode: 0o140777, uid: 0, gid: 0, mtimeNs: 1n };
  const { steps, drivers, overlay2 } = await migrate({ arrange: (vfs) => void (vfs.sockets = [socket]) });
  expect(steps).toContain('one failed: the sockets that were made differ from those that were found');
  expect([drivers, overlay2.containers.size]).toEqual([{ one: 'vfs', two: 'vfs' }, 0]);
});

it('leaves what an earlier move made of a container whose files cannot be read now', async () => {
  const { steps, overlay2 } = await migrate({
    arrange: (vfs, side) => {
      side.containers.set('id-one', null);
      vfs.unreadable = 'id-one';
    },
  });
  expect(steps).toContain('one failed: id-one cannot be read');
  expect(overlay2.containers.has('id-one')).toBe(true);
});

it('takes away what a killed run was packing into, and nothing that is resumed or held', async () => {
  expect((await migrate({})).drafts).toEqual(['layer-resumable', 'draft-held']);
});

it('has the state file on the disk before anything old is deleted', async () => {
  expect([(await migrate({})).keptAt, (await migrate({ removeOld: true })).keptAt]).toEqual([null, 2]);
});

it('tells why an old driver does not open, of each container that is with it', async () => {
  const { steps, movedTo } = await migrate({ closed: true, removeOld: true });
  expect(steps).toEqual([
    'vfs kept: vfs does not open: no',
    'l0 moved: unpacked from its blob',
    'l1 moved: unpacked from its blob',
    'one failed: storage driver vfs does not open',
    'two failed: storage driver vfs does not open',
  ]);
  expect(movedTo).toBeNull();
});

it('does not begin while anything is mounted', async () => {
  await expect(migrate({ mounted: ['/data/containers/x/rootfs'] })).rejects.toThrow(
    'containers run, or are still mounted (/data/containers/x/rootfs): stop them, and then the engine',
  );
});

it.each([1, 2, 3])('goes on where it was interrupted, after %i steps, and does nothing twice', async (until) => {
  const { steps, report, drivers, movedTo, vfs } = await migrate({ until, removeOld: true });
  expect(steps.map((step) => step.split(' ')[0])).toEqual(['l0', 'l1', 'one', 'two', 'vfs']);
  expect(report.layers + report.containers).toBe(4 - until);
  expect([drivers, movedTo, vfs.containers.size]).toEqual([{ one: 'overlay2', two: 'overlay2' }, 'overlay2', 0]);
});

it('counts what it takes before it begins', async () => {
  const withRoom = (freeBytes: number, copiesParents: boolean) => (_: FakeSide, overlay2: FakeSide) =>
    void (overlay2.free = { freeBytes, copiesParents });
  const refusal = (needed: number, free: number): string =>
    `moving everything to overlay2 takes about ${String(needed)}B, and ${String(free)}B are free where it keeps its data: ` +
    'make room, or begin all the same with --force';
  // Two layers of 1 byte and two containers of 10; with their parents 1 + 2 and twice 10 + 2.
  await expect(migrate({ arrange: withRoom(21, false) })).rejects.toThrow(refusal(22, 21));
  await expect(migrate({ arrange: withRoom(26, true) })).rejects.toThrow(refusal(27, 26));
  expect((await migrate({ arrange: withRoom(22, false) })).report.failures).toBe(0);
  expect((await migrate({ arrange: withRoom(27, true) })).report.failures).toBe(0);
  expect((await migrate({ arrange: withRoom(0, false), force: true })).report.failures).toBe(0);
});
