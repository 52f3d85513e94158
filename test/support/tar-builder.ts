/** Archives byte by byte, also such as no honest program writes. */

export interface Member {
  readonly name: string;
  readonly type?: string;
  readonly linkName?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
  readonly major?: number;
  readonly minor?: number;
  readonly data?: Buffer | string;
  /** The size field, when it is not the data's. */
  readonly size?: number;
  /** Changes the finished header block, before its checksum is made. */
  readonly edit?: (block: Buffer) => void;
  /** Changes the block after that. */
  readonly spoil?: (block: Buffer) => void;
  /** PAX records in front of it. */
  readonly pax?: Readonly<Record<string, string | Buffer>>;
  /** `latin1` writes names byte by byte. */
  readonly encoding?: 'utf8' | 'latin1';
}

/** A whole archive with its two closing blocks. */
export function tarOf(members: readonly Member[]): Buffer {
  return Buffer.concat([...members.map(memberOf), Buffer.alloc(1024)]);
}

/** One member: header, data, padding. */
export function memberOf(member: Member): Buffer {
  const data = Buffer.from(member.data ?? '');
  const pax =
    member.pax === undefined ? Buffer.alloc(0) : memberOf({ name: 'pax', type: 'x', data: paxOf(member.pax) });
  return Buffer.concat([pax, headerOf(member, data.length), data, Buffer.alloc((512 - (data.length % 512)) % 512)]);
}

function headerOf(member: Member, length: number): Buffer {
  const block = Buffer.alloc(512);
  block.write(member.name, 0, 100, member.encoding ?? 'utf8');
  octal(block, 100, 8, member.mode ?? 0o644);
  octal(block, 108, 8, member.uid ?? 0);
  octal(block, 116, 8, member.gid ?? 0);
  octal(block, 124, 12, member.size ?? length);
  octal(block, 136, 12, member.mtime ?? 1_000_000_000);
  block.write(member.type ?? '0', 156, 'latin1');
  block.write(member.linkName ?? '', 157, 100, member.encoding ?? 'utf8');
  block.write('ustar\x0000', 257, 'latin1');
  octal(block, 329, 8, member.major ?? 0);
  octal(block, 337, 8, member.minor ?? 0);
  member.edit?.(block);
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  octal(block, 148, 7, sum);
  member.spoil?.(block);
  return block;
}

export function octal(block: Buffer, at: number, length: number, value: number): void {
  block.write(
    value
      .toString(8)
      .padStart(length - 1, '0')
      .slice(-(length - 1)),
    at,
    'latin1',
  );
  block[at + length - 1] = 0;
}

/** `"%d %s=%s\n"` records. */
export function paxOf(records: Readonly<Record<string, string | Buffer>>): Buffer {
  const parts = Object.entries(records).map(([key, value]) => {
    const body = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from('\n')]);
    let length = body.length + 1;
    while (String(length).length + body.length !== length) length += 1;
    return Buffer.concat([Buffer.from(String(length)), body]);
  });
  return Buffer.concat(parts);
}
