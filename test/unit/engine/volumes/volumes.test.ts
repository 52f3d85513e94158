import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ContainerId } from '../../../../src/base/ids.ts';
import { createEventBus } from '../../../../src/engine/events/event-bus.ts';
import { Database } from '../../../../src/engine/state/database.ts';
import type { Volumes } from '../../../../src/engine/volumes/driver.ts';
import { createVolumes } from '../../../../src/engine/volumes/index.ts';
import { LocalVolumeDriver } from '../../../../src/engine/volumes/local/driver.ts';
import { emptyContents } from '../../../support/empty-contents.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

let root = '';
let database: Database;
let volumes: Volumes;
const actions: string[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'moored-volumes-'));
  database = Database.open(':memory:');
  const clock = new FakeClock();
  const events = createEventBus(clock);
  actions.length = 0;
  events.listen(({ action, actorId }) => actions.push(`${action} ${actorId}`));
  volumes = createVolumes({
    database,
    clock,
    events,
    drivers: new Map([['local', new LocalVolumeDriver(root)]]),
    contents: emptyContents,
  });
});
afterEach(() => {
  database[Symbol.dispose]();
  rmSync(root, { recursive: true });
});

const create = (name: string | null, more: object = {}): ReturnType<Volumes['create']> =>
  volumes.create({ name, driver: null, labels: {}, options: {}, ...more });

describe('volumes', () => {
  it('are directories that stay until removed', async () => {
    const volume = await create('data', { labels: { a: 'b' } });
    expect(volume.mountPoint).toBe(join(root, 'data', '_data'));
    writeFileSync(join(volume.mountPoint, 'file'), 'x');
    expect(volumes.get('data')).toEqual(volume);
    expect(await volumes.mount('data')).toEqual({ type: 'bind', source: volume.mountPoint, options: ['rbind'] });
    await volumes.remove('data', { force: false });
    expect(existsSync(join(root, 'data'))).toBe(false);
    expect(volumes.list()).toEqual([]);
    expect(actions).toEqual(['create data', 'destroy data']);
  });

  it('that exist are given back, not made again', async () => {
    const first = await create('data');
    expect(await create('data', { labels: { other: 'label' } })).toEqual(first);
    expect(actions).toEqual(['create data']);
  });

  it('without a name get one of 64 hex digits', async () => {
    const volume = await create(null, { anonymous: true });
    expect(volume.name).toMatch(/^[0-9a-f]{64}$/);
    expect(volume.anonymous).toBe(true);
  });

  it('in use cannot be removed', async () => {
    await create('data');
    volumes.hold('c1' as ContainerId, ['data']);
    volumes.hold('c2' as ContainerId, ['data']);
    await expect(volumes.remove('data', { force: true })).rejects.toThrow('remove data: volume is in use - [c1, c2]');
    volumes.release('c1' as ContainerId);
    volumes.release('c2' as ContainerId);
    await volumes.remove('data', { force: false });
  });

  it('whose directory was deleted by hand are made anew on mount', async () => {
    const volume = await create('data');
    rmSync(join(root, 'data'), { recursive: true });
    await volumes.mount('data');
    expect(existsSync(volume.mountPoint)).toBe(true);
  });

  it.each([
    ['x', 'create x: volume name is too short, names should be at least two alphanumeric characters'],
    ['../x', 'create ../x: "../x" includes invalid characters for a local volume name'],
    ['a/b', 'includes invalid characters'],
    ['-a', 'includes invalid characters'],
  ])('refuse the name %s', async (name, message) => {
    await expect(create(name)).rejects.toThrow(message);
  });

  it('say what is missing', async () => {
    expect(() => volumes.get('no')).toThrow('get no: no such volume');
    await expect(volumes.remove('no', { force: false })).rejects.toThrow('get no: no such volume');
    await volumes.remove('no', { force: true });
    await expect(create('ab', { driver: 'nfs' })).rejects.toThrow(
      'create ab: error looking up volume plugin nfs: plugin "nfs" not found',
    );
    await expect(create('ab', { options: { nope: '1' } })).rejects.toThrow('create ab: invalid option: "nope"');
    await expect(create('ab', { options: { type: 'nfs' } })).rejects.toThrow('is not supported by this version');
  });
});
