/** The same archives and the same faults by Node's zlib and by each library that this host has. */
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, createGzip, deflateRawSync, gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InvalidArgumentError } from '../../src/base/errors.ts';
import { NO_CODECS, type Codecs } from '../../src/engine/kernel/codecs.ts';
import { loadIsal } from '../../src/engine/kernel/linux/isal.ts';
import { makeCompressor } from '../../src/engine/storage/layers/compress/compressor.ts';
import { eachPlainChunk } from '../../src/engine/storage/layers/unpack/plain-chunks.ts';

const KIB = 1024;
/** Buffers of the readers are 256 and 512 KiB: sizes around them. */
const SIZES = [0, 1, 100, 32 * KIB, 256 * KIB - 1, 256 * KIB, 512 * KIB, 512 * KIB + 1, 3_000_000];

/** Text that compresses about as a real layer does. */
function prose(length: number): Buffer {
  const words = Array.from({ length: 2000 }, (_, i) => createHash('md5').update(String(i)).digest('base64'));
  const parts: string[] = [];
  for (let made = 0, state = 1; made < length;) {
    state = (state * 1103515245 + 12345) % 2147483648;
    const word = words[state % words.length] ?? '';
    parts.push(word);
    made += word.length;
  }
  return Buffer.from(parts.join('').slice(0, length));
}

/** One member whose header has all that a header can have. */
function memberWith(plain: Buffer, flags: number, change: (header: Buffer) => Buffer = (header) => header): Buffer {
  const extra = Buffer.alloc(64, 7);
  const header = Buffer.concat([
    Buffer.from([0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 0, 3]),
    ...(flags & 4 ? [Buffer.from([extra.length & 255, extra.length >> 8]), extra] : []),
    ...(flags & 8 ? [Buffer.from('layer.tar\0')] : []),
    ...(flags & 16 ? [Buffer.from('a comment\0')] : []),
  ]);
  const sum = Buffer.alloc(2);
  sum.writeUInt16LE(crc32(header) & 0xffff);
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc32(plain), 0);
  trailer.writeUInt32LE(plain.length, 4);
  return Buffer.concat([change(flags & 2 ? Buffer.concat([header, sum]) : header), deflateRawSync(plain), trailer]);
}

function flipped(bytes: Buffer, at: number, mask = 1): Buffer {
  const copy = Buffer.from(bytes);
  const index = at < 0 ? copy.length + at : at;
  copy[index] = (copy[index] ?? 0) ^ mask;
  return copy;
}

const isal = loadIsal();
const present: readonly (readonly [string, Codecs])[] = [
  ['node:zlib', NO_CODECS],
  ...(isal === null ? [] : [['ISA-L', isal] as const]),
];
if (isal === null) console.log('skipped for ISA-L: libisal.so.2 is not installed (apt-get install libisal2)');

describe.each(present)('gzip by %s', (_name, codecs) => {
  let directory: string;
  beforeAll(() => (directory = mkdtempSync(join(tmpdir(), 'codecs-'))));
  afterAll(() => rmSync(directory, { recursive: true }));

  async function inflated(blob: Buffer, by = codecs): Promise<Buffer> {
    const path = join(directory, 'blob');
    writeFileSync(path, blob);
    const chunks: Buffer[] = [];
    let read = 0;
    await eachPlainChunk(path, by, {
      take: (chunk) => chunks.push(Buffer.from(chunk)),
      onRead: (position) => (read = position),
    });
    expect(read).toBe(blob.length);
    return Buffer.concat(chunks);
  }

  async function refusal(blob: Buffer, by = codecs): Promise<string> {
    const error: unknown = await inflated(blob, by).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(InvalidArgumentError);
    return (error as Error).message;
  }

  it.each(SIZES)('reads %i bytes back', async (size) => {
    for (const plain of [prose(size), randomBytes(size), Buffer.alloc(size)])
      expect((await inflated(gzipSync(plain))).equals(plain)).toBe(true);
  });

  it('reads stored, fixed and dynamic blocks of all levels', async () => {
    const plain = prose(900_000);
    for (let level = 0; level <= 9; level++)
      expect((await inflated(gzipSync(plain, { level }))).equals(plain)).toBe(true);
    for (const windowBits of [9, 15])
      expect((await inflated(gzipSync(plain, { windowBits }))).equals(plain)).toBe(true);
  });

  it('reads members one after another', async () => {
    const pieces = Array.from({ length: 500 }, (_, i) => prose(i * 17));
    const blob = Buffer.concat(pieces.map((piece) => gzipSync(piece)));
    expect(blob.length).toBeGreaterThan(512 * KIB);
    expect((await inflated(blob)).equals(Buffer.concat(pieces))).toBe(true);
  });

  it('finds a member wherever the buffer ends', async () => {
    const tail = gzipSync(prose(5000));
    for (let cut = 0; cut < tail.length + 2; cut++) {
      const head = gzipSync(randomBytes(256 * KIB - 200), { level: 0 });
      const name = 256 * KIB - cut - head.length;
      const padded = name > 0 ? Buffer.concat([head, headerWithName(name)]) : head;
      const blob = Buffer.concat([padded, tail]);
      expect((await inflated(blob)).subarray(-5000).equals(prose(5000))).toBe(true);
      if (cut > 64) cut += 40;
    }
  });

  it('reads headers with extra field, name, comment and checksum', async () => {
    const plain = prose(10_000);
    for (let flags = 0; flags < 32; flags++)
      expect((await inflated(memberWith(plain, flags))).equals(plain)).toBe(true);
  });

  it('takes zeros at the end for padding', async () => {
    const plain = prose(70_000);
    for (const zeros of [1, 512, 600_000]) {
      const path = join(directory, 'padded');
      writeFileSync(path, Buffer.concat([gzipSync(plain), Buffer.alloc(zeros)]));
      let length = 0;
      await eachPlainChunk(path, codecs, { take: (chunk) => (length += chunk.length), onRead: () => undefined });
      expect(length).toBe(plain.length);
    }
  });

  it.each([
    ['garbage at the end', Buffer.concat([gzipSync('x'), Buffer.from('garbage behind it')]), 'incorrect header check'],
    ['another method', memberWith(Buffer.from('x'), 0, (header) => flipped(header, 2)), 'unknown compression method'],
    [
      'reserved flags',
      memberWith(Buffer.from('x'), 0, (header) => flipped(header, 3, 0x20)),
      'unknown header flags set',
    ],
    ['a wrong header checksum', memberWith(Buffer.from('x'), 2, (h) => flipped(h, -1)), 'header crc mismatch'],
    ['a wrong checksum', flipped(gzipSync(prose(600_000)), -8), 'incorrect data check'],
    ['a reserved block type', flipped(gzipSync('x'), 10, 0x04), 'invalid block type'],
    [
      'a distance before the start',
      Buffer.from('1f8b0800000000000003030200000000000000000000', 'hex'),
      'invalid distance too far back',
    ],
  ])('refuses %s', async (_, blob, text) => {
    expect(await refusal(blob)).toBe(text);
  });

  it('refuses a wrong length', async () => {
    expect(await refusal(flipped(gzipSync(prose(1000)), -1))).toMatch(/^incorrect (length|data) check$/);
  });

  it('refuses a blob that was cut anywhere', async () => {
    const blob = memberWith(prose(300), 31);
    for (let length = 2; length < blob.length; length++)
      expect(await refusal(blob.subarray(0, length))).toBe('unexpected EOF');
    const large = gzipSync(randomBytes(900_000));
    for (const length of [256 * KIB, 512 * KIB, large.length - 1, large.length - 8, large.length - 9])
      expect(await refusal(large.subarray(0, length))).toBe('unexpected EOF');
  });

  it('agrees with zlib on spoiled blobs', async () => {
    const blob = gzipSync(prose(20_000));
    for (let at = 10; at < blob.length - 8; at += 53) {
      const spoiled = flipped(blob, at, 1 << (at % 8));
      const right = await inflated(spoiled, NO_CODECS).catch(() => null);
      const ours = await inflated(spoiled).catch(() => null);
      expect(ours === null ? null : ours.equals(right ?? Buffer.from('refused'))).toBe(right === null ? null : true);
    }
  });

  it('keeps no more than its buffers of a bomb, and stops when told', async () => {
    const gzip = createGzip({ level: 9 });
    const parts: Buffer[] = [];
    gzip.on('data', (part: Buffer) => parts.push(part));
    const zeros = Buffer.alloc(16 * KIB * KIB);
    for (let i = 0; i < 16; i++) gzip.write(zeros);
    const { promise, resolve } = Promise.withResolvers<void>();
    gzip.end(resolve);
    await promise;
    const path = join(directory, 'bomb');
    writeFileSync(path, Buffer.concat(parts));
    let [made, largest] = [0, 0];
    const stop = new Error('enough');
    const taking = eachPlainChunk(path, codecs, {
      take: (chunk) => {
        made += chunk.length;
        largest = Math.max(largest, chunk.length);
        if (made > 64 * KIB * KIB) throw stop;
      },
      onRead: () => undefined,
    });
    await expect(taking).rejects.toBe(stop);
    expect(largest).toBeLessThanOrEqual(512 * KIB);
    expect(made).toBeLessThan(65 * KIB * KIB);
  });

  async function compressed(pieces: readonly Buffer[]): Promise<Buffer> {
    const parts: Buffer[] = [];
    using compressor = makeCompressor((chunk) => parts.push(Buffer.from(chunk)), codecs);
    for (const piece of pieces) await compressor.write(piece);
    await compressor.finish();
    return Buffer.concat(parts);
  }

  it.each(SIZES)('compresses %i bytes, the same each time', async (size) => {
    for (const plain of [prose(size), randomBytes(size)]) {
      const blob = await compressed([plain]);
      expect(gunzipSync(blob).equals(plain)).toBe(true);
      expect((await compressed([plain])).equals(blob)).toBe(true);
    }
  });

  it('compresses pieces of any size as one stream that gzip reads', async () => {
    const plain = prose(2_500_000);
    const pieces: Buffer[] = [];
    for (let at = 0, step = 1; at < plain.length; at += step, step = (step * 7) % 400_009)
      pieces.push(plain.subarray(at, at + step));
    const blob = await compressed(pieces);
    expect(blob.length).toBeLessThan(plain.length);
    const read = spawnSync('gzip', ['-dc'], { input: blob, maxBuffer: 2 * plain.length });
    expect([read.status, read.stdout.equals(plain)]).toEqual([0, true]);
  });

  it("ends with the sink's own error", async () => {
    const full = new Error('no space left on device');
    using compressor = makeCompressor(() => {
      throw full;
    }, codecs);
    const writing = (async () => {
      for (let i = 0; i < 8; i++) await compressor.write(randomBytes(300 * KIB));
      await compressor.finish();
    })();
    await expect(writing).rejects.toBe(full);
  });
});

/** A member of nothing whose name makes it so many bytes long. */
function headerWithName(length: number): Buffer {
  const empty = deflateRawSync(Buffer.alloc(0));
  const name = length - 10 - 1 - empty.length - 8;
  return name < 0
    ? Buffer.alloc(0)
    : Buffer.concat([
        Buffer.from([0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3]),
        Buffer.alloc(name, 0x61),
        Buffer.of(0),
        empty,
        Buffer.alloc(8),
      ]);
}
