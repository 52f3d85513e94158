/**
 * Requests of the device mapper (linux/dm-ioctl.h), little-endian:
 *
 * ```
 * struct dm_ioctl, 312 bytes, before everything
 *    0 version u32×3   12 size of all u32   16 start of the data u32   20 number of targets u32
 *   24 open count i32  28 flags u32         32 event or cookie u32     40 device u64
 *   48 name, 128 bytes                     176 uuid, 129 bytes
 *
 * struct dm_target_spec, 40 bytes, then its parameters, NUL, up to a multiple of 8
 *    0 first sector u64   8 sectors u64   16 status i32   20 offset of the next u32   24 type, 16 bytes
 *
 * struct dm_target_msg: sector u64, words, NUL
 * struct dm_name_list:  device u64, offset of the next u32, name, NUL
 * ```
 *
 * The offset of the next target counts from this one in a request, and from the start of the data in an answer.
 */
import type { BlockDeviceNumber, DeviceTarget, MappedDevice } from '../device-mapper.ts';
import { KernelError } from '../kernel.ts';

export const HEADER_BYTES = 312;
const SPEC_BYTES = 40;
const NAME = { at: 48, bytes: 128 };
const TYPE = { at: 24, bytes: 16 };
const INTERFACE_VERSION = [4, 0, 0] as const;

/** Flags of a request or an answer. */
export const DM_SUSPEND = 1 << 1;
export const DM_STATUS_TABLE = 1 << 4;
const DM_ACTIVE_PRESENT = 1 << 5;
export const DM_BUFFER_FULL = 1 << 8;
export const DM_NOFLUSH = 1 << 11;
export const DM_DEFERRED_REMOVE = 1 << 17;
export const DM_DATA_OUT = 1 << 16;

/** What a request says before its data. */
export interface Header {
  readonly name?: string;
  readonly flags?: number;
  readonly targetCount?: number;
  readonly cookie?: number;
}

/** A request with room for an answer of `roomBytes`. */
export function encodeRequest(header: Header, data: Buffer, roomBytes: number): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + Math.max(data.length, roomBytes));
  INTERFACE_VERSION.forEach((part, index) => bytes.writeUInt32LE(part, index * 4));
  bytes.writeUInt32LE(bytes.length, 12);
  bytes.writeUInt32LE(HEADER_BYTES, 16);
  bytes.writeUInt32LE(header.targetCount ?? 0, 20);
  bytes.writeUInt32LE(header.flags ?? 0, 28);
  bytes.writeUInt32LE(header.cookie ?? 0, 32);
  writeName(bytes, header.name ?? '');
  data.copy(bytes, HEADER_BYTES);
  return bytes;
}

function writeName(bytes: Buffer, name: string): void {
  const text = Buffer.from(name);
  if (text.length >= NAME.bytes || text.includes(0)) {
    throw new KernelError('dm', 'ENAMETOOLONG', name, 'no name for a device of the device mapper');
  }
  text.copy(bytes, NAME.at);
}

/** A table as TABLE_LOAD takes it. */
export function encodeTable(table: readonly DeviceTarget[]): Buffer {
  return Buffer.concat(
    table.map(({ startSector, sectors, type, parameters }) => {
      const words = Buffer.from(`${parameters}\0`);
      const bytes = Buffer.alloc(SPEC_BYTES + Math.ceil(words.length / 8) * 8);
      bytes.writeBigUInt64LE(BigInt(startSector), 0);
      bytes.writeBigUInt64LE(BigInt(sectors), 8);
      bytes.writeUInt32LE(bytes.length, 20);
      bytes.write(type, TYPE.at, TYPE.bytes - 1, 'latin1');
      words.copy(bytes, SPEC_BYTES);
      return bytes;
    }),
  );
}

/** Words for a target, as TARGET_MSG takes them; those for the device itself lie at sector 0 as well. */
export function encodeMessage(words: string): Buffer {
  return Buffer.concat([Buffer.alloc(8), Buffer.from(`${words}\0`)]);
}

/** Version of the driver, from any answer. */
export function decodeVersion(answer: Buffer): string {
  return [0, 4, 8].map((at) => String(answer.readUInt32LE(at))).join('.');
}

export function flagsOf(answer: Buffer): number {
  return answer.readUInt32LE(28);
}

export function decodeDevice(answer: Buffer): MappedDevice {
  const flags = flagsOf(answer);
  return {
    name: textAt(answer, NAME.at),
    number: decodeNumber(answer.readBigUInt64LE(40)),
    openCount: answer.readInt32LE(24),
    isLive: (flags & DM_ACTIVE_PRESENT) !== 0,
    isSuspended: (flags & DM_SUSPEND) !== 0,
    isDeferred: (flags & DM_DEFERRED_REMOVE) !== 0,
  };
}

/** huge_encode_dev of the kernel: the minor's high bits lie above the major. */
function decodeNumber(device: bigint): BlockDeviceNumber {
  const bits = Number(BigInt.asUintN(32, device));
  return { major: (bits >>> 8) & 0xfff, minor: (bits & 0xff) | ((bits >>> 12) & 0xfff00) };
}

export function decodeTargets(answer: Buffer): readonly DeviceTarget[] {
  const start = answer.readUInt32LE(16);
  const count = answer.readUInt32LE(20);
  const targets: DeviceTarget[] = [];
  for (let at = start; targets.length < count; at = start + answer.readUInt32LE(at + 20)) {
    targets.push({
      startSector: Number(answer.readBigUInt64LE(at)),
      sectors: Number(answer.readBigUInt64LE(at + 8)),
      type: textAt(answer, at + TYPE.at),
      parameters: textAt(answer, at + SPEC_BYTES),
    });
  }
  return targets;
}

export function decodeNames(answer: Buffer): readonly string[] {
  const names: string[] = [];
  let at = answer.readUInt32LE(16);
  // Without any device there is one entry all the same, with device 0.
  if (answer.length < at + 12 || answer.readBigUInt64LE(at) === 0n) return names;
  for (let next = -1; next !== 0; at += next) {
    names.push(textAt(answer, at + 12));
    next = answer.readUInt32LE(at + 8);
  }
  return names;
}

/** The words that a target answered to a message. */
export function decodeAnswer(answer: Buffer): string {
  return (flagsOf(answer) & DM_DATA_OUT) === 0 ? '' : textAt(answer, answer.readUInt32LE(16));
}

function textAt(bytes: Buffer, at: number): string {
  const end = bytes.indexOf(0, at);
  return bytes.toString('utf8', at, end < 0 ? bytes.length : end);
}
