import { describe, expect, it } from 'vitest';
import {
  parseMappedSectors,
  parsePoolStatus,
  poolObstacle,
} from '../../../../../src/engine/storage/devicemapper/pool/pool-words.ts';
import { poolLines } from '../../../../../src/engine/storage/devicemapper/pool/pool-lines.ts';
import { FakeThinPool } from '../../../../support/fake-thin-pool.ts';

const WELL = '5 418/4096 10/4096 - rw discard_passdown error_if_no_space - 1024';
const with_ = (from: string, to: string): string => WELL.replace(from, to);

describe('the words of a thin pool', () => {
  it('tell how it is', () => {
    expect(parsePoolStatus(WELL, 128)).toStrictEqual({
      transactionId: 5n,
      data: { usedBytes: 655_360, totalBytes: 268_435_456 },
      metadata: { usedBytes: 1_712_128, totalBytes: 16_777_216 },
      blockSizeBytes: 65_536,
      mode: 'rw',
      needsCheck: false,
    });
    expect(parsePoolStatus('Fail', 128)).toMatchObject({ mode: 'failed', needsCheck: true });
    expect(() => parsePoolStatus('what is this', 128)).toThrow(
      'devmapper: unknown status of a thin pool: what is this',
    );
  });

  it.each([
    [WELL, null],
    [
      with_(' rw ', ' out_of_data_space '),
      'is out of data space. Remove containers or images, or make its data device larger',
    ],
    [
      with_('418/4096', '3800/4096').replace(' rw ', ' ro '),
      'is out of metadata space. Make its metadata device larger',
    ],
    [with_(' rw ', ' ro '), 'is read-only'],
    [
      with_(' rw ', ' ro ').replace('_space -', '_space needs_check'),
      'is read-only and needs to be checked: stop all that uses it and run thin_check, or thin_repair, on its metadata device',
    ],
    [
      'Fail',
      'has failed: its metadata cannot be written. Look for errors of its disks, then run thin_repair on its metadata device',
    ],
  ])('%s says what is in the way', (words, obstacle) => {
    const text = obstacle === null ? null : `devmapper: Thin Pool p ${obstacle}`;
    expect(poolObstacle('p', parsePoolStatus(words, 128))).toBe(text);
  });

  it('tell how far a device is mapped', () => {
    expect(['0 -', '384 8191', 'Fail'].map(parseMappedSectors)).toStrictEqual([0, 8192, 0]);
  });
});

describe('docker info of a pool', () => {
  it('has dockerd’s lines in their order', async () => {
    const pool = new FakeThinPool();
    pool.data = { usedBytes: 19_791_872, totalBytes: 268_435_456 };
    pool.metadata = { usedBytes: 1_740_800, totalBytes: 16_777_216 };
    const places = { data: '/dev/loop0', metadata: '/dev/loop1', dataFile: null, metadataFile: null };
    const facts = {
      baseSizeBytes: 10_737_418_240,
      filesystem: 'xfs',
      deferredDeletions: 2,
      options: { minFreePercent: 10, deferredRemoval: true, deferredDeletion: false },
      mapperVersion: '4.47.0',
    };
    expect(await poolLines({ pool, places }, facts)).toStrictEqual([
      ['Pool Name', 'docker-pool'],
      ['Pool Blocksize', '65.54kB'],
      ['Base Device Size', '10.74GB'],
      ['Backing Filesystem', 'xfs'],
      ['Udev Sync Supported', 'true'],
      ['Data file', '/dev/loop0'],
      ['Metadata file', '/dev/loop1'],
      ['Data Space Used', '19.79MB'],
      ['Data Space Total', '268.4MB'],
      ['Data Space Available', '248.6MB'],
      ['Metadata Space Used', '1.741MB'],
      ['Metadata Space Total', '16.78MB'],
      ['Metadata Space Available', '15.04MB'],
      ['Thin Pool Minimum Free Space', '26.8MB'],
      ['Deferred Removal Enabled', 'true'],
      ['Deferred Deletion Enabled', 'false'],
      ['Deferred Deleted Device Count', '2'],
      ['Library Version', '4.47.0 (kernel)'],
    ]);
  });
});
