/**
 * Headers of members as POSIX pax archives have them: a ustar block (see tar-header.ts), before it an extended header
 * where the block cannot tell all: long names, large numbers, nanoseconds, extended attributes, holes. Names and values are
 * bytes and stay what they are. GNU tar, bsdtar and Go read all of it.
 *
 * ```
 * [ ustar block, type 'x' · records "LENGTH KEY=VALUE\n" · padding ]   when there is something to say
 * ustar block · data · padding                                         data of a sparse file: its map, then its segments
 * ```
 */
import type { ByteString, SparseSegment, TarEntry, TarEntryType } from './entry.ts';
import { BLOCK_BYTES } from './header.ts';

const FLAGS: Readonly<Record<TarEntryType, string>> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  character: '3',
  block: '4',
  directory: '5',
  fifo: '6',
};
const NAME_BYTES = 100;
const LINK_BYTES = 100;
const MAX_OCTAL_7 = 0o7777777;
const MAX_OCTAL_11 = 0o77777777777;
const NS_PER_SECOND = 1_000_000_000n;
/** Two blocks of zeros. */
export const END_OF_ARCHIVE = Buffer.alloc(2 * BLOCK_BYTES);

/** All that comes before a member's data; for a sparse file its map too. */
export function headerOf(member: TarEntry): Buffer {
  const map = member.sparse === null ? null : sparseMap(member.sparse);
  const storedBytes =
    map === null || member.sparse === null
      ? member.sizeBytes
      : map.length + member.sparse.reduce((sum, { length }) => sum + length, 0);
  const name = map === null ? member.name : `GNUSparseFile.0/${member.name}`;
  const records = recordsOf(member, name, storedBytes);
  const block = ustarBlock({ ...member, name, flag: FLAGS[member.type], storedBytes });
  return Buffer.concat([...extendedHeader(records), block, ...(map === null ? [] : [map])]);
}

/** Zeros that fill the last block of so many bytes. */
export function paddingOf(sizeBytes: number): Buffer {
  return Buffer.alloc((BLOCK_BYTES - (sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES);
}

type PaxRecord = readonly [string, Buffer];

function recordsOf(member: TarEntry, name: ByteString, storedBytes: number): readonly PaxRecord[] {
  const records: PaxRecord[] = [];
  const say = (key: string, value: string): void => void records.push([key, Buffer.from(value, 'latin1')]);
  if (member.sparse !== null) {
    say('GNU.sparse.major', '1');
    say('GNU.sparse.minor', '0');
    say('GNU.sparse.name', member.name);
    say('GNU.sparse.realsize', String(member.sizeBytes));
  }
  if (name.length > NAME_BYTES) say('path', name);
  if (member.linkName.length > LINK_BYTES) say('linkpath', member.linkName);
  if (storedBytes > MAX_OCTAL_11) say('size', String(storedBytes));
  if (member.uid > MAX_OCTAL_7) say('uid', String(member.uid));
  if (member.gid > MAX_OCTAL_7) say('gid', String(member.gid));
  if (!isWholeSecond(member.mtimeNs)) say('mtime', secondsText(member.mtimeNs));
  for (const [key, value] of member.xattrs) records.push([`SCHILY.xattr.${key}`, value]);
  return records;
}

function isWholeSecond(ns: bigint): boolean {
  return ns >= 0n && ns % NS_PER_SECOND === 0n && ns / NS_PER_SECOND <= BigInt(MAX_OCTAL_11);
}

function secondsText(ns: bigint): string {
  const positive = ns < 0n ? -ns : ns;
  const fraction = (positive % NS_PER_SECOND).toString().padStart(9, '0').replace(/0+$/, '');
  const text = `${String(positive / NS_PER_SECOND)}${fraction === '' ? '' : `.${fraction}`}`;
  return ns < 0n ? `-${text}` : text;
}

function extendedHeader(records: readonly PaxRecord[]): readonly Buffer[] {
  if (records.length === 0) return [];
  const body = Buffer.concat(records.map(recordBytes));
  const block = ustarBlock({
    flag: 'x',
    name: 'PaxHeaders/header',
    linkName: '',
    storedBytes: body.length,
    mode: 0o644,
    uid: 0,
    gid: 0,
    mtimeNs: 0n,
    deviceMajor: 0,
    deviceMinor: 0,
  });
  return [block, body, paddingOf(body.length)];
}

/** `LENGTH KEY=VALUE\n`, where the length counts itself. */
function recordBytes([key, value]: PaxRecord): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from('\n')]);
  let length = rest.length;
  while (rest.length + String(length).length !== length) length = rest.length + String(length).length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

interface UstarFields {
  readonly flag: string;
  readonly name: ByteString;
  readonly linkName: ByteString;
  readonly storedBytes: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
}

/** What does not fit is cut or 0 here: the extended header has it. */
function ustarBlock(fields: UstarFields): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  const octal = (value: number, at: number, length: number): void => {
    const digits = value < 8 ** (length - 1) ? value.toString(8) : '0';
    block.write(digits.padStart(length - 1, '0'), at, 'latin1');
  };
  block.write(fields.name.slice(0, NAME_BYTES), 0, 'latin1');
  octal(fields.mode & 0o7777, 100, 8);
  octal(fields.uid, 108, 8);
  octal(fields.gid, 116, 8);
  octal(fields.storedBytes, 124, 12);
  octal(isWholeSecond(fields.mtimeNs) ? Number(fields.mtimeNs / NS_PER_SECOND) : 0, 136, 12);
  block.write(fields.flag, 156, 'latin1');
  block.write(fields.linkName.slice(0, LINK_BYTES), 157, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  octal(fields.deviceMajor, 329, 8);
  octal(fields.deviceMinor, 337, 8);
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** Count of segments, then offset and length of each, a line each, padded to a block. */
function sparseMap(segments: readonly SparseSegment[]): Buffer {
  const lines = [segments.length, ...segments.flatMap(({ offset, length }) => [offset, length])];
  const text = Buffer.from(lines.map((line) => `${String(line)}\n`).join(''));
  return Buffer.concat([text, paddingOf(text.length)]);
}
