/** The `local` driver's options: Docker's `type`, `o`, `device`, `size`; and `o=uid=…,gid=…,mode=…` alone, as Podman. */
import { parseByteSize } from '../../../base/byte-size.ts';
import { InvalidArgumentError } from '../../../base/errors.ts';

type Options = Readonly<Record<string, string>>;

/** Whose a plain directory is to be; null: as it comes. */
export interface OwnerOptions {
  readonly uid: number | null;
  readonly gid: number | null;
  readonly mode: number | null;
}

const KNOWN = ['type', 'o', 'device', 'size'];
/** What Docker wants beside an option, in the order in which it says so. */
const NEEDS: readonly (readonly [string, readonly string[]])[] = [
  ['device', ['type']],
  ['type', ['device']],
  ['o', ['device', 'type']],
];
const OWNER_WORD = /^(?:(uid|gid)=(\d{1,10})|(mode)=([0-7]{1,4}))$/;
const LARGEST_ID = 2 ** 32 - 2;

/** InvalidArgumentError in Docker's words. `obstacle`: why no directory can be limited; null where one can. */
export function validateOptions(options: Options, obstacle: string | null): void {
  for (const key of Object.keys(options)) {
    if (!KNOWN.includes(key)) throw new InvalidArgumentError(`invalid option: "${key}"`);
  }
  if (sizeOf(options) > 0) validateQuota(options, obstacle);
  if (isOwnerOnly(options)) {
    ownerOf(options);
    return;
  }
  for (const [key, needed] of NEEDS) {
    const missing = Object.hasOwn(options, key) ? needed.find((other) => !Object.hasOwn(options, other)) : undefined;
    if (missing !== undefined) throw new InvalidArgumentError(`missing required option: "${missing}"`);
  }
}

/** What is asked of whose the directory is; null where nothing is, or the words belong to a file system. */
export function ownerOf(options: Options): OwnerOptions | null {
  if (!isOwnerOnly(options)) return null;
  const found: { uid: number | null; gid: number | null; mode: number | null } = { uid: null, gid: null, mode: null };
  for (const word of wordsOf(options)) {
    const [, id, number, , octal] = OWNER_WORD.exec(word) ?? [];
    if (id === 'uid' || id === 'gid') {
      const value = Number(number);
      if (value > LARGEST_ID) throw new InvalidArgumentError(`invalid ${id}: ${String(number)}`);
      found[id] = value;
    } else if (octal !== undefined) {
      found.mode = parseInt(octal, 8);
    }
  }
  return found;
}

/** Bytes that the volume may hold; 0, as in Docker: as many as there are. InvalidArgumentError for what is no size. */
export function sizeOf({ size }: Options): number {
  if (size === undefined) return 0;
  const bytes = parseByteSize(size);
  if (bytes === null) throw new InvalidArgumentError(`invalid size: '${size}'`);
  return bytes;
}

/** Words of `o`. */
export function wordsOf(options: Options): readonly string[] {
  return (options['o'] ?? '').split(',').filter((word) => word !== '');
}

/** Only words on the owner, and no file system that they could be meant for. */
function isOwnerOnly(options: Options): boolean {
  const words = wordsOf(options);
  const isPlain = !Object.hasOwn(options, 'type') && !Object.hasOwn(options, 'device');
  return isPlain && words.length > 0 && words.every((word) => OWNER_WORD.test(word));
}

function validateQuota(options: Options, obstacle: string | null): void {
  if (obstacle !== null) throw new InvalidArgumentError(`quota size requested but no quota support: ${obstacle}`);
  if (Object.hasOwn(options, 'type') || Object.hasOwn(options, 'device')) {
    throw new InvalidArgumentError(
      'a quota size bounds the directory of the volume itself: it cannot be combined with "type" and "device"',
    );
  }
}
