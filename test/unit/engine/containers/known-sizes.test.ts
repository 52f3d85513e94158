import { expect, test } from 'vitest';
import { SystemClock } from '../../../../src/base/clock.ts';
import { silentLogger } from '../../../../src/base/logger.ts';
import type { Container } from '../../../../src/engine/containers/container.ts';
import { KnownSizes } from '../../../../src/engine/containers/known-sizes.ts';
import type { ContainerSizeRow } from '../../../../src/engine/state/container-sizes.ts';
import { until } from '../../../support/engine.ts';

function store(): { readonly known: () => KnownSizes; readonly rows: Map<string, ContainerSizeRow> } {
  const rows = new Map<string, ContainerSizeRow>();
  const calls = {
    all: () => [...rows.values()],
    put: (more: readonly ContainerSizeRow[]) => {
      for (const row of more) rows.set(row.containerId, row);
    },
    delete: (id: string) => void rows.delete(id),
  };
  return { known: () => new KnownSizes(calls, { clock: new SystemClock(), logger: silentLogger }), rows };
}

function container(state: object): Container {
  return { id: 'web', document: { storageDriver: 'vfs' }, state } as unknown as Container;
}
const exited = (at: bigint): Container => container({ status: 'exited', lastExit: { finishedAt: at } });

test('what has ended is measured once, also for the next daemon, until it has run again', async () => {
  const { known, rows } = store();
  const first = known();
  const web = exited(1n);
  expect(first.get(web)).toBeNull();
  expect(await first.learn(web, async () => Promise.resolve(5))).toBe(5);
  expect(first.get(web)).toBe(5);
  await until(() => rows.size === 1);
  expect(known().get(web)).toBe(5);
  expect(known().get(exited(2n))).toBeNull();
});

test('what runs, or is written to, is measured each time', async () => {
  const { known, rows } = store();
  const sizes = known();
  const running = container({ status: 'running' });
  await sizes.learn(running, async () => Promise.resolve(5));
  expect(sizes.get(running)).toBeNull();

  const web = exited(1n);
  await sizes.learn(web, async () => Promise.resolve(5));
  await until(() => rows.size === 1);
  {
    using _writing = sizes.touching(web);
    expect(sizes.get(web)).toBeNull();
    expect(rows.size).toBe(0);
    await sizes.learn(web, async () => Promise.resolve(6));
    expect(sizes.get(web)).toBeNull();
  }
  const whole = Promise.withResolvers<number>();
  const learned = sizes.learn(web, async () => whole.promise);
  sizes.touching(web)[Symbol.dispose]();
  whole.resolve(7);
  expect(await learned).toBe(7);
  expect(sizes.get(web)).toBeNull();
});
