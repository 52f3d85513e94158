/** A pool of ours: on block devices that were named, or on files. */
import { mkdir, open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { diskFault, pathErrorText } from '../../../../base/errno-text.ts';
import { InvalidArgumentError, messageOf, UnavailableError } from '../../../../base/errors.ts';
import type { AttachedLoop } from '../../../kernel/block.ts';
import type { BlockDeviceNumber, DeviceTarget } from '../../../kernel/device-mapper.ts';
import { KernelError } from '../../../kernel/kernel.ts';
import type { PoolGround } from './pool-ground.ts';
import { checkMetadata } from './metadata-check.ts';
import { systemPrograms } from './programs.ts';
import type { PoolPlaces } from './pool-places.ts';
import type { ThinPoolStatus } from '../thin-pool.ts';
import { METADATA_BLOCK_BYTES, parsePoolStatus, parsePoolTable, SECTOR_BYTES } from './pool-words.ts';

/** Below so many free blocks the kernel tells whoever waits for its events; dockerd's. */
const LOW_WATER_BLOCKS = 32_768;
/** Blocks are not zeroed when handed out: a file system never shows what it has not written. Full means an error. */
const FEATURES = ['skip_block_zeroing', 'error_if_no_space'] as const;

/** What the kernel uses of a metadata device (THIN_METADATA_MAX_SECTORS): 255 bitmaps' worth of blocks. */
const MOST_METADATA_BYTES = 255 * 16_320 * METADATA_BLOCK_BYTES;

/** One of the pool's two devices. */
interface Part {
  readonly path: string;
  readonly number: BlockDeviceNumber;
  readonly file: string | null;
}

/** What a part is by the options. */
type Source = { readonly device: string } | { readonly file: string; readonly sizeBytes: number };

/** Sets the pool up, or finds it as a daemon before left it; makes it larger when its data is. */
export async function openOwnPool(name: string, ground: PoolGround): Promise<PoolPlaces> {
  const { data, metadata } = await sourcesOf(ground);
  const isThere = await isUsable(name, ground);
  const parts = isThere ? await partsInUse(name, data, metadata, ground) : await setUp(name, data, metadata, ground);
  return {
    data: parts.data.path,
    dataFile: parts.data.file,
    metadata: parts.metadata.path,
    metadataFile: parts.metadata.file,
  };
}

/** One that a killed daemon has only begun, or that must be checked and is in nobody's use, is set up anew. */
async function isUsable(name: string, { mapper }: PoolGround): Promise<boolean> {
  const found = await mapper.find(name);
  if (found === null) return false;
  const isWell = found.isLive && !(await statusOf(name, mapper)).needsCheck;
  if (isWell || found.openCount > 0) return true;
  await mapper.remove(name, { deferred: false });
  return false;
}

async function statusOf(name: string, mapper: PoolGround['mapper']): Promise<ThinPoolStatus> {
  const { targets } = await mapper.targets(name, { what: 'status', settled: false });
  return parsePoolStatus(targets[0]?.parameters ?? '', 1);
}

async function sourcesOf({ root, options, logger }: PoolGround): Promise<{ data: Source; metadata: Source }> {
  const directory = join(root, 'devicemapper');
  const { dataDevice, metadataDevice, loopDataBytes, loopMetadataBytes } = options;
  const sourceOf = async (device: string | null, name: string, sizeBytes: number): Promise<Source> => {
    if (device !== null) return { device };
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const file = join(directory, name);
    if (await ensureFile(file, sizeBytes)) logger.warn(`Can't shrink loopback file ${file}`);
    return { file, sizeBytes };
  };
  return {
    data: await sourceOf(dataDevice, 'data', loopDataBytes),
    metadata: await sourceOf(metadataDevice, 'metadata', loopMetadataBytes),
  };
}

/** Has a sparse file be as long as this, at least; true when it is longer. */
async function ensureFile(path: string, sizeBytes: number): Promise<boolean> {
  try {
    await using file = await open(path, 'a', 0o600);
    const { size } = await file.stat();
    if (size >= sizeBytes) return size > sizeBytes;
    await file.truncate(sizeBytes);
    await file.sync();
    return false;
  } catch (error) {
    const fault = diskFault('truncate', path, error);
    throw fault === error
      ? new UnavailableError(`devmapper: Unable to grow loopback file ${path}: ${messageOf(error)}`, { cause: error })
      : fault;
  }
}

interface Parts {
  readonly data: Part;
  readonly metadata: Part;
}

async function setUp(name: string, data: Source, metadata: Source, ground: PoolGround): Promise<Parts> {
  using held = new DisposableStack();
  const parts = { data: await hold(data, held, ground), metadata: await hold(metadata, held, ground) };
  await createPool(name, parts, ground);
  if ((await statusOf(name, ground.mapper)).needsCheck) {
    await ground.mapper.remove(name, { deferred: false });
    await checkMetadata(parts.metadata.path, ground.programs ?? systemPrograms(ground.processes), ground.logger);
    await createPool(name, parts, ground);
  }
  return parts;
}

/** Keeps the device open until the pool has it: a loop device goes with its last user. */
async function hold(source: Source, held: DisposableStack, { block }: PoolGround): Promise<Part> {
  if ('file' in source) {
    let loop: AttachedLoop;
    try {
      loop = held.use(await block.attach(source.file, { directIo: true }));
    } catch (error) {
      throw new UnavailableError(`devmapper: cannot attach ${source.file} to a loop device: ${messageOf(error)}`, {
        cause: error,
      });
    }
    return { path: loop.path, number: loop.number, file: source.file };
  }
  return deviceAt(source.device, block);
}

function deviceAt(path: string, block: PoolGround['block']): Part {
  try {
    return { path, number: block.numberOf(path), file: null };
  } catch (error) {
    throw new InvalidArgumentError(`devmapper: ${pathErrorText('open', path, error)}`, { cause: error });
  }
}

async function createPool(name: string, parts: Parts, ground: PoolGround): Promise<void> {
  try {
    await ground.mapper.create(name, [tableOf(parts, ground.options.blockBytes / SECTOR_BYTES, ground)]);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    throw new UnavailableError(
      `devmapper: Error running deviceCreate (CreatePool) ${error.message}. ` +
        `Is there something else on ${parts.metadata.path}? Its first 4 KiB must be zeros for a new pool`,
      { cause: error },
    );
  }
}

function tableOf({ data, metadata }: Parts, blockSectors: number, { block }: PoolGround): DeviceTarget {
  const words = [numbers(metadata), numbers(data), blockSectors, LOW_WATER_BLOCKS, FEATURES.length, ...FEATURES];
  const sectors = Math.floor(block.sizeBytes(data.number) / SECTOR_BYTES);
  return { startSector: 0, sectors, type: 'thin-pool', parameters: words.join(' ') };
}

function numbers({ number: { major, minor } }: Part): string {
  return `${String(major)}:${String(minor)}`;
}

/** The pool is active: what it lies on must be what the options say. */
async function partsInUse(name: string, data: Source, metadata: Source, ground: PoolGround): Promise<Parts> {
  const { targets } = await ground.mapper.targets(name, { what: 'table', settled: false });
  const table = parsePoolTable(targets[0]?.parameters ?? '');
  const parts = {
    data: await partInUse(name, table.data, data, ground),
    metadata: await partInUse(name, table.metadata, metadata, ground),
  };
  for (const part of [parts.data, parts.metadata]) if (part.file !== null) await ground.block.grow(part.path);
  const grown = tableOf(parts, table.blockSectors, ground);
  const { metadata: known } = await statusOf(name, ground.mapper);
  const metadataBytes = Math.min(ground.block.sizeBytes(parts.metadata.number), MOST_METADATA_BYTES);
  const hasMoreMetadata = Math.floor(metadataBytes / METADATA_BLOCK_BYTES) * METADATA_BLOCK_BYTES > known.totalBytes;
  if (grown.sectors > (targets[0]?.sectors ?? 0) || hasMoreMetadata) await ground.mapper.replace(name, [grown]);
  return parts;
}

async function partInUse(name: string, numberText: string, source: Source, { block }: PoolGround): Promise<Part> {
  const [major = 0, minor = 0] = numberText.split(':').map(Number);
  const number = { major, minor };
  const path = block.nodeOf(number);
  if ('file' in source) {
    const backing = block.backing(number);
    const file = await stat(source.file, { bigint: true });
    if (backing?.device === file.dev && backing.inode === file.ino) return { path, number, file: source.file };
  } else {
    const wanted = deviceAt(source.device, block);
    if (numbers(wanted) === numberText) return wanted;
  }
  const place = 'file' in source ? source.file : source.device;
  throw new UnavailableError(
    `devmapper: thin pool ${name} is active already and lies on ${path}, not on ${place}. ` +
      'Stop what uses it (dmsetup ls --tree) or name the same devices as before',
  );
}
