import { expect, it } from 'vitest';
import { ConflictError, InvalidArgumentError } from '../../../src/base/errors.ts';
import type { ContainerId } from '../../../src/base/ids.ts';
import { encodeDocument, encodeState, type ContainerDocument } from '../../../src/engine/containers/record.ts';
import { createMigrationPlans, type PlannedTarget } from '../../../src/engine/migration/plan.ts';
import type { MigrationPlan } from '../../../src/engine/migration/types.ts';
import type { ChainId, DiffId } from '../../../src/engine/oci/digest.ts';
import type { ContainerRow } from '../../../src/engine/state/containers.ts';
import type { LayerRow } from '../../../src/engine/state/layers.ts';
import type { StorageSide } from '../../../src/engine/storage/moving.ts';
import { exampleSpec } from '../../support/container-spec.ts';

const LAYERS: readonly LayerRow[] = [layer('l0', null), layer('l1', 'l0')];

function layer(chainId: string, parent: string | null): LayerRow {
  return { chainId: chainId as ChainId, parent: parent as ChainId | null, diffId: 'd' as DiffId, sizeBytes: 100 };
}

function rowOf(name: string, status: string): ContainerRow {
  const document = { spec: exampleSpec(), mounts: [], storageDriver: 'overlay2' } as unknown as ContainerDocument;
  const state = { status, exitCode: 0, error: '' } as never;
  const live = { phase: 'settled', state, desired: 'stopped', sandbox: null, hasStarted: true, filesOf: null } as const;
  const id = `id-${name}` as ContainerId;
  return { id, name, imageId: 'i', createdAt: 0n as never, doc: encodeDocument(document), state: encodeState(live) };
}

interface Host {
  readonly target?: Partial<PlannedTarget>;
  readonly containers?: readonly ContainerRow[];
  readonly isClosed?: boolean;
}

/** Of two layers of 100 bytes and containers of 10 on overlay2. */
async function planned({
  target,
  containers = [rowOf('one', 'exited')],
  isClosed = false,
}: Host): Promise<MigrationPlan> {
  const side = {
    name: 'overlay2',
    layers: () => LAYERS,
    container: async () => ({ parent: 'l1' as ChainId }),
    usage: async () => 10,
  } as unknown as StorageSide;
  return createMigrationPlans({
    drivers: async () => ['overlay2', 'vfs'],
    open: async () => (isClosed ? Promise.reject(new ConflictError('overlay2 does not open')) : side),
    look: async () => ({ obstacle: null, room: { copiesParents: false, freeBytes: 1000 }, layers: [], ...target }),
    containers: { all: () => containers },
  }).plan('vfs');
}

it('counts what the target lacks, and parents where they are copied', async () => {
  const sources = [{ driver: 'overlay2', layers: 2, containers: 1 }];
  expect(await planned({})).toEqual({ sources, neededBytes: 210, freeBytes: 1000, obstacles: [] });
  const room = { copiesParents: true, freeBytes: null };
  expect(await planned({ target: { room } })).toEqual({ sources, neededBytes: 510, freeBytes: null, obstacles: [] });
  expect(await planned({ target: { layers: LAYERS } })).toMatchObject({ neededBytes: 10 });
});

it('says what is in the way: the target, running containers, old drivers that do not open, too little room', async () => {
  const target = { obstacle: 'no Btrfs here', room: { copiesParents: false, freeBytes: 50 } };
  const { obstacles } = await planned({ target, containers: [rowOf('web', 'running'), rowOf('old', 'exited')] });
  expect(obstacles).toEqual([
    'no Btrfs here',
    'containers run: web',
    expect.stringMatching(/^moving everything to vfs takes about 220B, and 50B are free/),
  ]);
  expect(await planned({ isClosed: true })).toEqual({
    sources: [{ driver: 'overlay2', layers: 0, containers: 1 }],
    neededBytes: 0,
    freeBytes: 1000,
    obstacles: ['overlay2 does not open'],
  });
});

it('counts nothing of a container that cannot be read', async () => {
  const damaged = { ...rowOf('odd', 'exited'), doc: '{' };
  expect(await planned({ containers: [damaged] })).toMatchObject({ neededBytes: 200, obstacles: [] });
});

it('refuses what is no driver', async () => {
  const plans = createMigrationPlans({
    drivers: async () => [],
    open: async () => Promise.reject(new ConflictError('no')),
    look: async (name) => Promise.reject(new InvalidArgumentError(`storage driver ${name} is refused`)),
    containers: { all: () => [] },
  });
  await expect(plans.plan('aufs')).rejects.toThrow(InvalidArgumentError);
});
