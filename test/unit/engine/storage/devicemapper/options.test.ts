import { describe, expect, it } from 'vitest';
import { readDeviceMapperOptions } from '../../../../../src/engine/storage/devicemapper/pool/options.ts';

const GIB = 1024 ** 3;

describe('dm options', () => {
  it('are dockerd’s defaults without any', () => {
    expect(readDeviceMapperOptions([])).toStrictEqual({
      thinPoolDevice: null,
      dataDevice: null,
      metadataDevice: null,
      loopDataBytes: 100 * GIB,
      loopMetadataBytes: 2 * GIB,
      blockBytes: 65_536,
      baseBytes: 10 * GIB,
      isBaseSizeAsked: false,
      filesystem: null,
      mkfsWords: [],
      mountOptions: [],
      discards: null,
      minFreePercent: 10,
      deferredRemoval: true,
      deferredDeletion: true,
      xfsNospaceRetries: null,
      directLvm: null,
    });
  });

  it('are read whatever the case of the key, the last of each counting', () => {
    const options = readDeviceMapperOptions([
      'DM.BaseSize=20G',
      'dm.thinpooldev=/dev/mapper/docker-thinpool',
      'dm.fs=ext4',
      'dm.mkfsarg=-O ^has_journal',
      'dm.mkfsarg=-q',
      'dm.mountopt=nodiscard,noatime',
      'dm.mountopt=discard',
      'dm.blkdiscard=false',
      'dm.blocksize=512K',
      'dm.min_free_space=0%',
      'dm.min_free_space=5%',
      'dm.use_deferred_removal=T',
      'dm.use_deferred_deletion=0',
      'dm.override_udev_sync_check=true',
      'dm.xfs_nospace_max_retries=0',
      'dm.libdm_log_level=7',
    ]);
    expect(options).toMatchObject({
      baseBytes: 20 * GIB,
      isBaseSizeAsked: true,
      thinPoolDevice: 'docker-thinpool',
      filesystem: 'ext4',
      mkfsWords: ['-O ^has_journal', '-q'],
      mountOptions: ['nodiscard', 'noatime', 'discard'],
      discards: false,
      blockBytes: 524_288,
      minFreePercent: 5,
      deferredRemoval: true,
      deferredDeletion: false,
      xfsNospaceRetries: '0',
    });
  });

  it('name a device for LVM', () => {
    const options = readDeviceMapperOptions([
      'dm.directlvm_device=/dev/xvdf',
      'dm.directlvm_device_force=true',
      'dm.thinp_percent=90%',
      'dm.thinp_metapercent=2',
      'dm.thinp_autoextend_threshold=100',
      'dm.thinp_autoextend_percent=30',
    ]);
    expect(options.directLvm).toStrictEqual({
      device: '/dev/xvdf',
      force: true,
      dataPercent: 90,
      metadataPercent: 2,
      autoextendPercent: 30,
      autoextendThreshold: 100,
    });
  });

  it.each([
    [['dm.basesize'], 'Unable to parse key/value option: dm.basesize'],
    [['dm.nope=1'], 'devmapper: Unknown option dm.nope'],
    [['overlay2.size=1G'], 'devmapper: Unknown option overlay2.size'],
    [['dm.basesize=big'], "invalid size: 'big'"],
    [['dm.loopdatasize='], "invalid size: ''"],
    [['dm.fs=btrfs'], 'devmapper: Unsupported filesystem btrfs'],
    [['dm.blkdiscard=maybe'], 'strconv.ParseBool: parsing "maybe": invalid syntax'],
    [['dm.blocksize=32K'], 'devmapper: dm.blocksize must be a multiple of 64K between 64K and 1G, not 32K'],
    [['dm.blocksize=100K'], 'devmapper: dm.blocksize must be a multiple of 64K between 64K and 1G, not 100K'],
    [['dm.min_free_space=10'], 'devmapper: Option dm.min_free_space requires % suffix'],
    [['dm.min_free_space=x%'], 'strconv.ParseUint: parsing "x": invalid syntax'],
    [['dm.min_free_space=100%'], 'devmapper: Invalid value 100% for option dm.min_free_space'],
    [['dm.xfs_nospace_max_retries=-1'], 'strconv.ParseUint: parsing "-1": invalid syntax'],
    [
      ['dm.libdm_log_level=loud'],
      'could not parse `dm.libdm_log_level=loud`: strconv.ParseInt: parsing "loud": invalid syntax',
    ],
    [['dm.libdm_log_level=1'], 'dm.libdm_log_level must be in range [2,7]'],
    [
      ['dm.use_deferred_removal=false'],
      'devmapper: Deferred deletion can not be enabled as deferred removal is not enabled. Enable deferred removal using --storage-opt dm.use_deferred_removal=true parameter',
    ],
    [
      ['dm.thinp_percent=half'],
      'could not parse `dm.thinp_percent=half`: strconv.ParseUint: parsing "half": invalid syntax',
    ],
    [['dm.thinp_percent=100'], 'dm.thinp_percent must be greater than 0 and less than 100'],
    [['dm.thinp_autoextend_percent=101'], 'dm.thinp_autoextend_percent must be greater than 0 and less than 100'],
    [
      ['dm.thinp_autoextend_percent=20'],
      'must provide device path in `dm.directlvm_device` in order to configure direct-lvm',
    ],
    [
      ['dm.directlvm_device=/dev/x', 'dm.thinp_percent=90'],
      'must set both `dm.thinp_percent` and `dm.thinp_metapercent` if either is specified',
    ],
    [
      ['dm.directlvm_device=/dev/x', 'dm.thinp_percent=90', 'dm.thinp_metapercent=11'],
      'combined `dm.thinp_percent` and `dm.thinp_metapercent` must not be greater than 100',
    ],
    [
      ['dm.directlvm_device=/dev/x', 'dm.thinpooldev=pool'],
      'cannot setup direct-lvm when `dm.thinpooldev` is also specified',
    ],
  ])('refuse %j in dockerd’s words', (words, message) => {
    expect(() => readDeviceMapperOptions(words)).toThrow(
      expect.objectContaining({ kind: 'invalid-argument', message }),
    );
  });
});
