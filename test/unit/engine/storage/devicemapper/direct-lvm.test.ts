import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UnavailableError } from '../../../../../src/base/errors.ts';
import type { DirectLvmOptions } from '../../../../../src/engine/storage/devicemapper/pool/direct-lvm-options.ts';
import { activateDirectLvm, setUpDirectLvm } from '../../../../../src/engine/storage/devicemapper/pool/direct-lvm.ts';
import type { Programs } from '../../../../../src/engine/storage/devicemapper/pool/programs.ts';
import { FakeDeviceMapper } from '../../../../support/fake-device-mapper.ts';
import { RecordingLogger } from '../../../../support/recording-logger.ts';

const DEVICE: DirectLvmOptions = {
  device: '/dev/xvdf',
  force: false,
  dataPercent: 0,
  metadataPercent: 0,
  autoextendPercent: 0,
  autoextendThreshold: 0,
};
const RECORD =
  '{"Device":"/dev/xvdf","ThinpPercent":0,"ThinpMetaPercent":0,"AutoExtendPercent":0,"AutoExtendThreshold":0}';

let scratch: string;
let recordPath: string;
let runs: string[];
/** What a program answers, by its name. */
let answers: Record<string, string | Error>;
let udevControl: string;

const programs: Programs = {
  find: async (name) => Promise.resolve(`/sbin/${name}`),
  run: async (name, words) => {
    runs.push([name, ...words].join(' '));
    const answer = answers[name] ?? '';
    if (answer instanceof Error) throw answer;
    return Promise.resolve(answer);
  },
};

const setUp = async (options = DEVICE): Promise<string> => {
  const kernel = new FakeDeviceMapper();
  kernel.addDisk('/dev/xvdf', 1e9);
  return setUpDirectLvm(options, {
    recordPath,
    profileDirectory: join(scratch, 'profile'),
    block: kernel.block,
    logger: new RecordingLogger(),
    udevControl,
    programs,
  });
};

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'lvm-'));
  recordPath = join(scratch, 'setup-config.json');
  udevControl = join(scratch, 'control');
  writeFileSync(udevControl, '');
  runs = [];
  answers = {};
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));

describe('direct-lvm', () => {
  it('is set up by LVM’s programs as dockerd does, once', async () => {
    expect(await setUp()).toBe('docker-thinpool');
    expect(runs).toStrictEqual([
      'pvs --noheadings -o vg_name /dev/xvdf',
      'blkid -p -s TYPE -o value /dev/xvdf',
      'pvcreate -f /dev/xvdf',
      'vgcreate docker /dev/xvdf',
      'lvcreate --wipesignatures y -n thinpool docker --extents 95%VG',
      'lvcreate --wipesignatures y -n thinpoolmeta docker --extents 1%VG',
      'lvconvert -y --zero n -c 512K --thinpool docker/thinpool --poolmetadata docker/thinpoolmeta',
      'lvchange --metadataprofile docker-thinpool docker/thinpool',
      'lvchange --errorwhenfull y docker/thinpool',
    ]);
    expect(readFileSync(recordPath, 'utf8')).toBe(RECORD);
    expect(existsSync(`${recordPath}.begun`)).toBe(false);
    expect(readFileSync(join(scratch, 'profile/docker-thinpool.profile'), 'utf8')).toBe(
      'activation{\nthin_pool_autoextend_threshold=80\nthin_pool_autoextend_percent=20\n}',
    );
    runs = [];
    expect(await setUp()).toBe('docker-thinpool');
    expect(runs).toStrictEqual([]);
    await expect(setUp({ ...DEVICE, dataPercent: 50, metadataPercent: 1 })).rejects.toMatchObject({
      kind: 'invalid-argument',
      message: 'changing direct-lvm config is not supported',
    });
  });

  it('has LVM make links and nodes where no udev does', async () => {
    rmSync(udevControl);
    await setUp();
    await activateDirectLvm({ programs, udevControl });
    const words = '--config activation{verify_udev_operations=1}';
    expect(runs.slice(2, 4)).toStrictEqual([`pvcreate ${words} -f /dev/xvdf`, `vgcreate ${words} docker /dev/xvdf`]);
    expect(runs.slice(-2)).toStrictEqual([
      `lvchange ${words} --errorwhenfull y docker/thinpool`,
      `lvchange ${words} -a y docker/thinpool`,
    ]);
  });

  it('takes back what was set up by half, and begins anew', async () => {
    answers['lvconvert'] = new UnavailableError('Insufficient free space: lvconvert: exit status 5');
    await expect(setUp()).rejects.toMatchObject({
      kind: 'unavailable',
      message: 'Insufficient free space: lvconvert: exit status 5',
    });
    expect(readFileSync(`${recordPath}.begun`, 'utf8')).toBe(RECORD);
    expect(existsSync(recordPath)).toBe(false);
    runs = [];
    answers = { pvs: '  docker\n' };
    await expect(setUp()).rejects.toThrow('already part of a volume group "docker"');
    expect(runs.slice(0, 3)).toStrictEqual([
      'pvs --noheadings -o vg_name /dev/xvdf',
      'vgremove -f docker',
      'pvremove -f /dev/xvdf',
    ]);
  });

  it('leaves devices alone that are somebody’s', async () => {
    answers = { pvs: '  system\n' };
    await expect(setUp()).rejects.toMatchObject({
      kind: 'invalid-argument',
      message:
        '/dev/xvdf is already part of a volume group "system": must remove this device from any volume group or provide a different device',
    });
    answers = { blkid: 'ext4\n' };
    await expect(setUp()).rejects.toMatchObject({
      message: '/dev/xvdf has a filesystem already, use dm.directlvm_device_force=true if you want to wipe the device',
    });
    await expect(setUp({ ...DEVICE, device: '/dev/nope' })).rejects.toMatchObject({
      message: '/dev/nope is not available for use with devicemapper',
    });
    expect(runs.some((run) => run.startsWith('pvcreate'))).toBe(false);
    runs = [];
    await setUp({ ...DEVICE, force: true });
    expect(runs).toContain('pvcreate -f -y /dev/xvdf');
  });

  it('says which record it cannot read', async () => {
    writeFileSync(recordPath, '{');
    await expect(setUp()).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringMatching(/^error reading existing setup config: /),
    });
  });
});
