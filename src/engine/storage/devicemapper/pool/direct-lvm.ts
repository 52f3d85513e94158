/**
 * Sets up LVM's thin pool `docker-thinpool` (group `docker`, volume `thinpool`) on a block device, as dockerd does, by
 * LVM's own programs; what was set up is written down beside it:
 *
 * ```
 * <root>/setup-config.json         {"Device":"/dev/xvdf","ThinpPercent":95,…}   dockerd's, so either daemon knows it
 * <root>/setup-config.json.begun   the same, while it is being set up
 * ```
 */
import { access, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { errnoCodeOf, InvalidArgumentError, messageOf, UnavailableError } from '../../../../base/errors.ts';
import type { DirectLvmOptions } from './direct-lvm-options.ts';
import type { PoolGround } from './pool-ground.ts';
import type { Programs } from './programs.ts';

const POOL_NAME = 'docker-thinpool';
const GROUP = 'docker';
const VOLUME = 'docker/thinpool';
/** There while udevd listens, by which LVM's library and systemd know it. */
const UDEV_CONTROL = '/run/udev/control';
/** LVM leaves links and nodes to udev's rules, and then misses them, where nothing runs those. */
const WITHOUT_UDEV = ['--config', 'activation{verify_udev_operations=1}'] as const;
const PROFILE_DIRECTORY = '/etc/lvm/profile';
const PROGRAMS = ['pvcreate', 'vgcreate', 'lvcreate', 'lvconvert', 'lvchange', 'thin_check'] as const;
const DEFAULTS = { dataPercent: 95, metadataPercent: 1, autoextendPercent: 20, autoextendThreshold: 80 } as const;

/** Content of the record. */
interface SetupRecord {
  readonly Device: string;
  readonly ThinpPercent: number;
  readonly ThinpMetaPercent: number;
  readonly AutoExtendPercent: number;
  readonly AutoExtendThreshold: number;
}

interface DirectLvmGround extends Pick<PoolGround, 'logger' | 'block'> {
  readonly programs: Programs;
  readonly recordPath: string;
  /** Where LVM reads profiles. */
  readonly profileDirectory?: string;
  readonly udevControl?: string;
}

/** The pool's name. Does nothing when it was set up with the same options before. */
export async function setUpDirectLvm(options: DirectLvmOptions, ground: DirectLvmGround): Promise<string> {
  const record: SetupRecord = {
    Device: options.device,
    ThinpPercent: options.dataPercent,
    ThinpMetaPercent: options.metadataPercent,
    AutoExtendPercent: options.autoextendPercent,
    AutoExtendThreshold: options.autoextendThreshold,
  };
  const before = await readRecord(ground.recordPath);
  if (before === JSON.stringify(record)) return POOL_NAME;
  if (before !== null) throw new InvalidArgumentError('changing direct-lvm config is not supported');
  const begunPath = `${ground.recordPath}.begun`;
  if ((await readRecord(begunPath)) === JSON.stringify(record)) await takeBack(options, ground);
  await checkDevice(options, ground);
  await checkPrograms(ground.programs);
  await writeFile(begunPath, JSON.stringify(record), { mode: 0o600, flush: true });
  await setUp(options, ground);
  await writeFile(ground.recordPath, JSON.stringify(record), { mode: 0o600, flush: true });
  await rm(begunPath, { force: true });
  return POOL_NAME;
}

/** Switches on what was set up: after a start of the machine nobody else may have done so yet, or at all. */
export async function activateDirectLvm(ground: Pick<DirectLvmGround, 'programs' | 'udevControl'>): Promise<void> {
  await ground.programs.run('lvchange', [...(await udevWords(ground)), '-a', 'y', VOLUME]);
}

async function udevWords({
  udevControl = UDEV_CONTROL,
}: Pick<DirectLvmGround, 'udevControl'>): Promise<readonly string[]> {
  return access(udevControl).then(
    () => [],
    () => WITHOUT_UDEV,
  );
}

/** What a daemon that was killed, or met an error, has set up by half: nothing is in it yet. */
async function takeBack({ device }: DirectLvmOptions, ground: DirectLvmGround): Promise<void> {
  const { programs } = ground;
  if ((await groupOf(device, programs)) !== GROUP) return;
  const extra = await udevWords(ground);
  await programs.run('vgremove', [...extra, '-f', GROUP]);
  await programs.run('pvremove', [...extra, '-f', device]);
}

async function groupOf(device: string, programs: Programs): Promise<string> {
  return ((await answerOf(programs, 'pvs', ['--noheadings', '-o', 'vg_name', device])) ?? '').trim();
}

async function readRecord(path: string): Promise<string | null> {
  try {
    const text = await readFile(path, 'utf8');
    return text === '' ? null : JSON.stringify(JSON.parse(text));
  } catch (error) {
    if (errnoCodeOf(error) === 'ENOENT') return null;
    throw new UnavailableError(`error reading existing setup config: ${messageOf(error)}`, { cause: error });
  }
}

async function checkDevice({ device, force }: DirectLvmOptions, { programs, block }: DirectLvmGround): Promise<void> {
  try {
    block.numberOf(device);
  } catch (error) {
    throw new InvalidArgumentError(`${device} is not available for use with devicemapper`, { cause: error });
  }
  const group = await groupOf(device, programs);
  if (group !== '') {
    throw new InvalidArgumentError(
      `${device} is already part of a volume group ${JSON.stringify(group)}: ` +
        'must remove this device from any volume group or provide a different device',
    );
  }
  if (force) return;
  const type = await answerOf(programs, 'blkid', ['-p', '-s', 'TYPE', '-o', 'value', device]);
  if ((type ?? '').trim() !== '') {
    throw new InvalidArgumentError(
      `${device} has a filesystem already, use dm.directlvm_device_force=true if you want to wipe the device`,
    );
  }
}

/** Null when the program is missing or says no: such a device is nobody's. */
async function answerOf(programs: Programs, name: string, words: readonly string[]): Promise<string | null> {
  try {
    return await programs.run(name, words);
  } catch (error) {
    if (error instanceof UnavailableError) return null;
    throw error;
  }
}

async function checkPrograms(programs: Programs): Promise<void> {
  for (const program of PROGRAMS) {
    if ((await programs.find(program)) === null) {
      throw new UnavailableError(
        `error looking up command \`${program}\` while setting up direct lvm: exec: "${program}": executable file not found in $PATH`,
      );
    }
  }
}

/** A program and its words. */
type Step = readonly [string, ...string[]];

async function setUp(options: DirectLvmOptions, ground: DirectLvmGround): Promise<void> {
  const { programs, logger, profileDirectory = PROFILE_DIRECTORY } = ground;
  logger.info(`devmapper: setting up a thin pool of LVM's on ${options.device}`);
  const dataPercent = options.dataPercent || DEFAULTS.dataPercent;
  const metadataPercent = options.metadataPercent || DEFAULTS.metadataPercent;
  const steps: readonly Step[] = [
    ['pvcreate', '-f', ...(options.force ? ['-y'] : []), options.device],
    ['vgcreate', GROUP, options.device],
    ['lvcreate', '--wipesignatures', 'y', '-n', 'thinpool', GROUP, '--extents', `${String(dataPercent)}%VG`],
    ['lvcreate', '--wipesignatures', 'y', '-n', 'thinpoolmeta', GROUP, '--extents', `${String(metadataPercent)}%VG`],
    [
      'lvconvert',
      ...['-y', '--zero', 'n', '-c', '512K', '--thinpool', VOLUME, '--poolmetadata', 'docker/thinpoolmeta'],
    ],
  ];
  const extra = await udevWords(ground);
  const run = async ([program, ...words]: Step): Promise<string> => programs.run(program, [...extra, ...words]);
  for (const step of steps) await run(step);
  await writeProfile(profileDirectory, options);
  await run(['lvchange', '--metadataprofile', POOL_NAME, VOLUME]);
  // LVM's own way is to let everything wait for a minute.
  await run(['lvchange', '--errorwhenfull', 'y', VOLUME]);
}

/** By it LVM's own daemon makes the pool larger in time. */
async function writeProfile(
  directory: string,
  { autoextendThreshold, autoextendPercent }: DirectLvmOptions,
): Promise<void> {
  const threshold = autoextendThreshold || DEFAULTS.autoextendThreshold;
  const percent = autoextendPercent || DEFAULTS.autoextendPercent;
  await mkdir(directory, { recursive: true, mode: 0o755 });
  const text = `activation{\nthin_pool_autoextend_threshold=${String(threshold)}\nthin_pool_autoextend_percent=${String(percent)}\n}`;
  await writeFile(`${directory}/${POOL_NAME}.profile`, text, { mode: 0o600 });
}
