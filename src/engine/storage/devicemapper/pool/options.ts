/** The `dm.*` words of `--storage-opt`, as dockerd reads them (moby 20.10: daemon/graphdriver/devmapper). */
import { parseByteSize } from '../../../../base/byte-size.ts';
import { InvalidArgumentError } from '../../../../base/errors.ts';
import { checkDirectLvm, type DirectLvmOptions } from './direct-lvm-options.ts';

export type PoolFilesystem = 'xfs' | 'ext4';

/** What the administrator chose, or the defaults. Sizes in bytes. */
export interface DeviceMapperOptions {
  /** Name of a pool that is there, without `/dev/mapper/`. */
  readonly thinPoolDevice: string | null;
  readonly dataDevice: string | null;
  readonly metadataDevice: string | null;
  readonly loopDataBytes: number;
  readonly loopMetadataBytes: number;
  /** Of a pool of ours: what data is handed out by. */
  readonly blockBytes: number;
  /** Of a container's file system. */
  readonly baseBytes: number;
  /** False: {@link baseBytes} is only the default, and a base device of another size is all right. */
  readonly isBaseSizeAsked: boolean;
  /** Null: xfs where it works, else ext4. */
  readonly filesystem: PoolFilesystem | null;
  readonly mkfsWords: readonly string[];
  readonly mountOptions: readonly string[];
  /** Null: where files are behind the pool. */
  readonly discards: boolean | null;
  readonly minFreePercent: number;
  readonly deferredRemoval: boolean;
  readonly deferredDeletion: boolean;
  /** How often xfs tries again what the full pool refused, before it gives up. */
  readonly xfsNospaceRetries: string | null;
  readonly directLvm: DirectLvmOptions | null;
}

type Draft = { -readonly [K in keyof DeviceMapperOptions]: DeviceMapperOptions[K] };
type DirectDraft = { -readonly [K in keyof DirectLvmOptions]: DirectLvmOptions[K] };

const GIB = 1024 ** 3;
const SECTOR_BYTES = 512;
/** What the kernel takes for a pool's blocks: 64 KiB to 1 GiB by steps of 64 KiB. */
const BLOCK_STEP_BYTES = 64 * 1024;
const MOST_LOG_LEVEL = 7;
const LEAST_LOG_LEVEL = 2;

const DEFAULTS: DeviceMapperOptions = {
  thinPoolDevice: null,
  dataDevice: null,
  metadataDevice: null,
  loopDataBytes: 100 * GIB,
  loopMetadataBytes: 2 * GIB,
  blockBytes: BLOCK_STEP_BYTES,
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
};

type Reader = (value: string, draft: Draft, direct: DirectDraft) => void;

const READERS: Readonly<Record<string, Reader>> = {
  'dm.basesize': (value, draft) => {
    draft.baseBytes = size(value);
    draft.isBaseSizeAsked = true;
  },
  'dm.loopdatasize': (value, draft) => (draft.loopDataBytes = size(value)),
  'dm.loopmetadatasize': (value, draft) => (draft.loopMetadataBytes = size(value)),
  'dm.fs': (value, draft) => {
    if (value !== 'ext4' && value !== 'xfs') throw refusal(`devmapper: Unsupported filesystem ${value}`);
    draft.filesystem = value;
  },
  'dm.mkfsarg': (value, draft) => (draft.mkfsWords = [...draft.mkfsWords, value]),
  'dm.mountopt': (value, draft) => (draft.mountOptions = [...draft.mountOptions, ...value.split(',').filter(Boolean)]),
  'dm.metadatadev': (value, draft) => (draft.metadataDevice = value === '' ? null : value),
  'dm.datadev': (value, draft) => (draft.dataDevice = value === '' ? null : value),
  'dm.thinpooldev': (value, draft) => (draft.thinPoolDevice = value.replace(/^\/dev\/mapper\//, '') || null),
  'dm.blkdiscard': (value, draft) => (draft.discards = bool(value)),
  'dm.blocksize': (value, draft) => (draft.blockBytes = blockSize(value)),
  'dm.override_udev_sync_check': (value) => void bool(value),
  'dm.use_deferred_removal': (value, draft) => (draft.deferredRemoval = bool(value)),
  'dm.use_deferred_deletion': (value, draft) => (draft.deferredDeletion = bool(value)),
  'dm.min_free_space': (value, draft) => (draft.minFreePercent = minFreeSpace(value)),
  'dm.xfs_nospace_max_retries': (value, draft) => {
    unsigned(value);
    draft.xfsNospaceRetries = value;
  },
  'dm.libdm_log_level': logLevel,
  'dm.directlvm_device': (value, _, direct) => (direct.device = value),
  'dm.directlvm_device_force': (value, _, direct) => (direct.force = bool(value)),
  'dm.thinp_percent': (value, _, direct) => (direct.dataPercent = percent('dm.thinp_percent', value, 99)),
  'dm.thinp_metapercent': (value, _, direct) => (direct.metadataPercent = percent('dm.thinp_metapercent', value, 99)),
  'dm.thinp_autoextend_percent': (value, _, direct) =>
    (direct.autoextendPercent = percent('dm.thinp_autoextend_percent', value, 100)),
  'dm.thinp_autoextend_threshold': (value, _, direct) =>
    (direct.autoextendThreshold = percent('dm.thinp_autoextend_threshold', value, 100)),
};

/** Reads `--storage-opt` words. InvalidArgumentError, in dockerd's words, for what it would refuse. */
export function readDeviceMapperOptions(words: readonly string[]): DeviceMapperOptions {
  const draft: Draft = { ...DEFAULTS };
  const direct: DirectDraft = { ...NO_DIRECT_LVM };
  for (const word of words) {
    const equals = word.indexOf('=');
    if (equals < 0) throw refusal(`Unable to parse key/value option: ${word}`);
    const key = word.slice(0, equals).trim().toLowerCase();
    const read = READERS[key];
    if (read === undefined) throw refusal(`devmapper: Unknown option ${key}`);
    read(word.slice(equals + 1).trim(), draft, direct);
  }
  if (draft.deferredDeletion && !draft.deferredRemoval) {
    throw refusal(
      'devmapper: Deferred deletion can not be enabled as deferred removal is not enabled. ' +
        'Enable deferred removal using --storage-opt dm.use_deferred_removal=true parameter',
    );
  }
  const { force, ...asked } = direct;
  const { force: _, ...unasked } = NO_DIRECT_LVM;
  if (JSON.stringify(asked) !== JSON.stringify(unasked)) {
    checkDirectLvm(direct);
    if (draft.thinPoolDevice !== null) {
      throw refusal('cannot setup direct-lvm when `dm.thinpooldev` is also specified');
    }
    draft.directLvm = { ...asked, force };
  }
  return draft;
}

const NO_DIRECT_LVM: DirectLvmOptions = {
  device: '',
  force: false,
  dataPercent: 0,
  metadataPercent: 0,
  autoextendPercent: 0,
  autoextendThreshold: 0,
};

function size(value: string): number {
  const bytes = parseByteSize(value);
  if (bytes === null) throw refusal(`invalid size: '${value}'`);
  return bytes;
}

function blockSize(value: string): number {
  const bytes = Math.floor(size(value) / SECTOR_BYTES) * SECTOR_BYTES;
  if (bytes < BLOCK_STEP_BYTES || bytes > GIB || bytes % BLOCK_STEP_BYTES !== 0) {
    throw refusal(`devmapper: dm.blocksize must be a multiple of 64K between 64K and 1G, not ${value}`);
  }
  return bytes;
}

function bool(value: string): boolean {
  if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(value)) return true;
  if (['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(value)) return false;
  throw refusal(`strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`);
}

function unsigned(value: string): number {
  if (!/^\d+$/.test(value)) throw refusal(`strconv.ParseUint: parsing ${JSON.stringify(value)}: invalid syntax`);
  return Number(value);
}

function minFreeSpace(value: string): number {
  if (!value.endsWith('%')) throw refusal('devmapper: Option dm.min_free_space requires % suffix');
  const percents = unsigned(value.slice(0, -1));
  if (percents >= 100) throw refusal(`devmapper: Invalid value ${value} for option dm.min_free_space`);
  return percents;
}

function percent(key: string, value: string, most: number): number {
  const text = value.replace(/%$/, '');
  if (!/^\d+$/.test(text)) {
    throw refusal(
      `could not parse \`${key}=${value}\`: strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`,
    );
  }
  if (Number(text) > most) throw refusal(`${key} must be greater than 0 and less than 100`);
  return Number(text);
}

/** There is no libdevmapper here that could log; the word is read for those who have it in their configuration. */
function logLevel(value: string): void {
  if (!/^[+-]?\d+$/.test(value)) {
    throw refusal(
      `could not parse \`dm.libdm_log_level=${value}\`: strconv.ParseInt: parsing ${JSON.stringify(value)}: invalid syntax`,
    );
  }
  if (Number(value) < LEAST_LOG_LEVEL || Number(value) > MOST_LOG_LEVEL) {
    throw refusal(`dm.libdm_log_level must be in range [${String(LEAST_LOG_LEVEL)},${String(MOST_LOG_LEVEL)}]`);
  }
}

function refusal(message: string): InvalidArgumentError {
  return new InvalidArgumentError(message);
}
