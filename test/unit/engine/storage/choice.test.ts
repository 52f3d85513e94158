import { describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../../../src/base/errors.ts';
import { chooseStorageDriver, type ChoiceFacts } from '../../../../src/engine/storage/choice.ts';

const FRESH: ChoiceFacts = { asked: null, holdingData: [], overlay2Problem: null };

describe('chooseStorageDriver', () => {
  it.each([
    ['overlay2 where it works', {}, 'overlay2', null],
    ['vfs where it does not', { overlay2Problem: 'too old' }, 'vfs', 'overlay2 does not work here: too old'],
    ['the one that holds data', { holdingData: ['vfs'] }, 'vfs', 'slow'],
    ['what was asked for before data', { asked: 'overlay2', holdingData: ['vfs'] }, 'overlay2', null],
    ['what was asked for between data of two', { asked: 'vfs', holdingData: ['overlay2', 'vfs'] }, 'vfs', 'slow'],
    ['nothing asked, said with an empty text', { asked: '' }, 'overlay2', null],
  ] as const)('takes %s', (_what, facts, driver, warning) => {
    const choice = chooseStorageDriver({ ...FRESH, ...facts });
    expect(choice.driver).toBe(driver);
    if (warning === null) expect(choice.warning).toBeNull();
    else expect(choice.warning).toContain(warning);
  });

  it.each([
    ['aufs', { asked: 'aufs' }, 'storage driver aufs is refused: no kernel'],
    ['btrfs', { asked: 'btrfs' }, 'not supported by this version'],
    ['devicemapper', { asked: 'devicemapper' }, 'not supported by this version'],
    ['overlay', { asked: 'overlay' }, 'replaced by overlay2'],
    ['an unknown one', { asked: 'zfs' }, 'there is no such driver; use overlay2 or vfs'],
    [
      'overlay2 asked for where it does not work',
      { asked: 'overlay2', overlay2Problem: 'no module' },
      'driver not supported: no module',
    ],
    [
      'overlay2 holding data where it does not work',
      { holdingData: ['overlay2'], overlay2Problem: 'no module' },
      'driver not supported: no module',
    ],
    [
      'data of two drivers',
      { holdingData: ['overlay2', 'vfs'] },
      'multiple storage drivers contain file system data: overlay2, vfs',
    ],
  ] as const)('refuses %s', (_what, facts, text) => {
    const choose = (): unknown => chooseStorageDriver({ ...FRESH, ...facts });
    expect(choose).toThrow(InvalidArgumentError);
    expect(choose).toThrow(text);
  });
});
