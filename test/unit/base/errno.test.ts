import { describe, expect, it } from 'vitest';
import { diskFault, isDiskFull, pathErrorText } from '../../../src/base/errno-text.ts';
import { errnoCodeOf, messageOf, UnavailableError } from '../../../src/base/errors.ts';

describe('errno', () => {
  const full = Object.assign(new Error('no space'), { code: 'ENOSPC', errno: -28 });

  it.each(['UNKNOWN', 'Unknown system error -122'])('is EDQUOT where Node says %s', (code) => {
    const overQuota = Object.assign(new Error(`${code}: write`), { code, errno: -122 });
    expect(errnoCodeOf(overQuota)).toBe('EDQUOT');
    expect(isDiskFull(overQuota)).toBe(true);
    expect(pathErrorText('write', '/x', overQuota)).toBe('write /x: disk quota exceeded');
    expect(diskFault('write', '/x', overQuota)).toBeInstanceOf(UnavailableError);
  });

  it.each(['UNKNOWN: unknown error', 'Unknown system error -122: Unknown system error -122'])(
    'is told for %s',
    (said) => {
      const overQuota = Object.assign(new Error(`${said}, open '/x'`), { code: 'UNKNOWN', errno: -122 });
      expect(messageOf(overQuota)).toBe("EDQUOT: disk quota exceeded, open '/x'");
    },
  );

  it('is what the error says otherwise, or nothing', () => {
    expect(errnoCodeOf(full)).toBe('ENOSPC');
    expect(errnoCodeOf(Object.assign(new Error('x'), { code: 'UNKNOWN', errno: -4094 }))).toBe('UNKNOWN');
    expect(errnoCodeOf(new Error('x'))).toBeNull();
    expect(errnoCodeOf('ENOENT')).toBeNull();
  });
});
