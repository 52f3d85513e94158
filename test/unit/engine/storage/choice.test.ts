import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../../../src/base/errors.ts';
import { chooseStorageDriver, type Choice, type StorageDriverName } from '../../../../src/engine/storage/choice.ts';

interface Host {
  readonly asked?: string | null;
  readonly holdingData?: readonly StorageDriverName[];
  readonly movedTo?: string | null;
  readonly backingFilesystem?: string;
  readonly obstacles?: Partial<Record<StorageDriverName, string>>;
}

const choose = async ({
  asked = null,
  holdingData = [],
  movedTo = null,
  backingFilesystem = 'extfs',
  obstacles = {},
}: Host): Promise<Choice> =>
  chooseStorageDriver({
    asked,
    holdingData,
    movedTo,
    dataRoot: '/data',
    backingFilesystem,
    obstacleOf: (name) => Promise.resolve(obstacles[name] ?? null),
  });

describe('chooseStorageDriver', () => {
  it.each([
    ['overlay2 where it works', {}, 'overlay2', null],
    ['vfs where it does not', { obstacles: { overlay2: 'too old' } }, 'vfs', 'overlay2 does not work here: too old'],
    ['the one that holds data', { holdingData: ['vfs'] }, 'vfs', 'slow'],
    ['btrfs on Btrfs', { backingFilesystem: 'btrfs' }, 'btrfs', null],
    ['overlay2 on Btrfs with its data', { backingFilesystem: 'btrfs', holdingData: ['overlay2'] }, 'overlay2', null],
    ['overlay2 on Btrfs without btrfs', { backingFilesystem: 'btrfs', obstacles: { btrfs: 'x' } }, 'overlay2', null],
    ['what was asked for before data', { asked: 'overlay2', holdingData: ['vfs'] }, 'overlay2', null],
    ['what was asked for between data of two', { asked: 'vfs', holdingData: ['overlay2', 'vfs'] }, 'vfs', 'slow'],
    ['the other one beside vfs', { holdingData: ['overlay2', 'vfs'] }, 'overlay2', null],
    ['what all was moved to', { holdingData: ['btrfs', 'overlay2'], movedTo: 'overlay2' }, 'overlay2', null],
    ['vfs when all was moved to it', { holdingData: ['overlay2', 'vfs'], movedTo: 'vfs' }, 'vfs', 'slow'],
    ['what holds data when that of the move is gone', { holdingData: ['vfs'], movedTo: 'btrfs' }, 'vfs', 'slow'],
    ['nothing asked, said with an empty text', { asked: '' }, 'overlay2', null],
  ] as const)('takes %s', async (_what, host, driver, warning) => {
    const choice = await choose(host);
    expect(choice.driver).toBe(driver);
    if (warning === null) expect(choice.warning).toBeNull();
    else expect(choice.warning).toContain(warning);
  });

  it.each([
    ['aufs', { asked: 'aufs' }, 'storage driver aufs is refused: no kernel'],
    ['overlay', { asked: 'overlay' }, 'replaced by overlay2'],
    ['an unknown one', { asked: 'zfs' }, 'there is no such driver; use btrfs, overlay2, devicemapper, vfs'],
    [
      'overlay2 asked for where it does not work',
      { asked: 'overlay2', obstacles: { overlay2: 'no module' } },
      'driver not supported: no module',
    ],
    [
      'overlay2 holding data where it does not work',
      { holdingData: ['overlay2'], obstacles: { overlay2: 'no module' } },
      'driver not supported: no module',
    ],
    [
      'data of two drivers',
      { holdingData: ['btrfs', 'overlay2', 'vfs'] },
      '/data contains several valid graphdrivers: btrfs, overlay2; cleanup or explicitly choose storage driver (-s <DRIVER>)',
    ],
  ] as const)('refuses %s', async (_what, host, text) => {
    const choice = choose(host);
    await expect(choice).rejects.toThrow(InvalidArgumentError);
    await expect(choice).rejects.toThrow(text);
  });
});
