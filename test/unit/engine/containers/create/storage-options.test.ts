import { describe, expect, it } from 'vitest';
import { InternalError, InvalidArgumentError } from '../../../../../src/base/errors.ts';
import { snapshotOptionsOf } from '../../../../../src/engine/containers/create/storage-options.ts';

const MIB = 1024 * 1024;

describe('storage options of a container', () => {
  it.each([
    [{}, null],
    [{ size: '10m' }, 10 * MIB],
    [{ size: '1.5 GiB' }, 1536 * MIB],
    [{ size: '0' }, 0],
  ])('%j is %s bytes', (options, sizeBytes) => {
    for (const driver of ['overlay2', 'btrfs', 'devicemapper', 'vfs']) {
      expect(snapshotOptionsOf(driver, options)).toEqual({ sizeBytes });
    }
  });

  it('takes the name as dockerd does: in any case, but on vfs', () => {
    expect(snapshotOptionsOf('btrfs', { SIZE: '1k' })).toEqual({ sizeBytes: 1024 });
    expect(() => snapshotOptionsOf('vfs', { SIZE: '1k' })).toThrow(
      new InvalidArgumentError('Storage opt SIZE not supported'),
    );
  });

  it.each(['overlay2', 'btrfs', 'devicemapper'])('refuses all else in the words of %s', (driver) => {
    expect(() => snapshotOptionsOf(driver, { Speed: '1' })).toThrow(new InternalError('Unknown option speed'));
    expect(() => snapshotOptionsOf(driver, { size: 'much' })).toThrow(new InternalError("invalid size: 'much'"));
  });

  it('refuses all else in the words of vfs', () => {
    const said = (message: string): Error => new InvalidArgumentError(message);
    expect(() => snapshotOptionsOf('vfs', { speed: '1' })).toThrow(said('Storage opt speed not supported'));
    expect(() => snapshotOptionsOf('vfs', { size: '-1' })).toThrow(said("invalid size: '-1'"));
  });
});
