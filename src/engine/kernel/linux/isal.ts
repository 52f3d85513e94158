/**
 * gzip by ISA-L (libisal.so.2), the fastest there is: streams with a reused state of fixed size.
 *
 * Its two structures are laid out by hand. They have been the same in all versions from 2.24 to 2.32 (igzip_lib.h), and
 * a version is trusted only within that range and after a trial run:
 *
 * ```
 * inflate_state   next_out 8 · avail_out 4 · total_out 4 · next_in 8 · read_in 8 · avail_in 4 · read_in_length 4
 *                 tables 21120 · block_state 4 · dict_length 4 · bfinal 4 · crc_flag 4 · … 66 KiB of buffers
 * isal_zstream    next_in 8 · avail_in 4 · total_in 4 · next_out 8 · avail_out 4 · total_out 4 · hufftables 8
 *                 level 4 · level_buf_size 4 · level_buf 8 · end_of_stream 2 · flush 2 · gzip_flag 2 · hist_bits 2
 *                 internal_state: 20 bytes · state 4 · … 82 KiB of buffers
 * ```
 */
import { readFileSync } from 'node:fs';
import koffi from 'koffi';
import type { CodecStep, Deflater, Inflater, InflateStep, StreamFault } from '../codecs.ts';
import { KernelError } from '../kernel.ts';
import { loadLibrary, type Library } from './libc.ts';

const SONAME = 'libisal.so.2';
/** The third number of `libisal.so.2.0.30` is the minor version. */
const OLDEST = 24;
const NEWEST = 32;

/** More than any version needs: what a newer one adds would lie in here. */
const STATE_BYTES = 256 * 1024;
const INFLATE = { nextOut: 0, availOut: 8, nextIn: 16, availIn: 32, blockState: 21160, crcFlag: 21172 } as const;
const DEFLATE = {
  nextIn: 0,
  availIn: 8,
  nextOut: 16,
  availOut: 24,
  level: 40,
  levelBufferSize: 44,
  levelBuffer: 48,
  endOfStream: 56,
  gzipFlag: 60,
  state: 84,
} as const;
/** ISAL_BLOCK_FINISH */
const MEMBER_ENDED = 5;
/** ISAL_GZIP_NO_HDR_VER: the trailer is verified, the header is somebody else's. */
const TRAILER_ONLY = 6;
/** IGZIP_GZIP */
const WITH_HEADER = 1;
/** ZSTATE_END */
const STREAM_ENDED = 11;
const LEVEL = 1;
/** ISAL_DEF_LVL1_DEFAULT */
const LEVEL_BUFFER_BYTES = 4 * 1024 + 2 * 8 * 1024 + 4 * 64 * 1024;

/** ISAL_INVALID_BLOCK and those below it. */
const FAULTS: Readonly<Record<number, StreamFault>> = {
  [-1]: 'block',
  [-2]: 'code',
  [-3]: 'distance',
  [-6]: 'checksum',
};

const TRIAL = Buffer.from('moored, moored, moored');

/** The library. */
export interface Isal {
  openInflater(): Inflater;
  openDeflater(): Deflater;
}

type Call = ((state: Buffer) => number) & {
  readonly async: (state: Buffer, done: (error: Error | null, result: number) => void) => void;
};

interface Bindings {
  readonly inflateInit: (state: Buffer) => void;
  readonly inflateReset: (state: Buffer) => void;
  readonly inflate: Call;
  readonly deflateInit: (stream: Buffer) => void;
  readonly deflate: Call;
}

/** ISA-L of this host, or by another name; null where it is absent, of a version that we do not know, or does not do as it should. */
export function loadIsal(soname = SONAME): Isal | null {
  const library = loadLibrary(soname);
  if (library === null || !isKnownVersion()) return null;
  const bindings = bind(library);
  if (!passesTrial(bindings)) return null;
  return { openInflater: () => new IsalInflater(bindings), openDeflater: () => new IsalDeflater(bindings) };
}

class IsalInflater implements Inflater {
  readonly #isal: Bindings;
  readonly #state = Buffer.alloc(STATE_BYTES);

  constructor(isal: Bindings) {
    this.#isal = isal;
    isal.inflateInit(this.#state);
    this.#state.writeUInt32LE(TRAILER_ONLY, INFLATE.crcFlag);
  }

  async step(input: Buffer, output: Buffer): Promise<InflateStep> {
    this.#prepare(input, output);
    return this.outcome(await inPool(this.#isal.inflate, this.#state), input, output);
  }

  /** One step at once, on this thread. */
  run(input: Buffer, output: Buffer): number {
    this.#prepare(input, output);
    return this.#isal.inflate(this.#state);
  }

  outcome(result: number, input: Buffer, output: Buffer): InflateStep {
    const state = this.#state;
    return {
      consumedBytes: input.length - state.readUInt32LE(INFLATE.availIn),
      producedBytes: output.length - state.readUInt32LE(INFLATE.availOut),
      ended: state.readUInt32LE(INFLATE.blockState) === MEMBER_ENDED,
      fault: result < 0 ? (FAULTS[result] ?? 'block') : null,
    };
  }

  next(): void {
    this.#isal.inflateReset(this.#state);
  }

  #prepare(input: Buffer, output: Buffer): void {
    const state = this.#state;
    state.writeBigUInt64LE(koffi.address(input), INFLATE.nextIn);
    state.writeUInt32LE(input.length, INFLATE.availIn);
    state.writeBigUInt64LE(koffi.address(output), INFLATE.nextOut);
    state.writeUInt32LE(output.length, INFLATE.availOut);
  }
}

class IsalDeflater implements Deflater {
  readonly #isal: Bindings;
  readonly #stream = Buffer.alloc(STATE_BYTES);
  readonly #levelBuffer = Buffer.alloc(LEVEL_BUFFER_BYTES);

  constructor(isal: Bindings) {
    this.#isal = isal;
    const stream = this.#stream;
    isal.deflateInit(stream);
    stream.writeUInt32LE(LEVEL, DEFLATE.level);
    stream.writeUInt32LE(this.#levelBuffer.length, DEFLATE.levelBufferSize);
    stream.writeBigUInt64LE(koffi.address(this.#levelBuffer), DEFLATE.levelBuffer);
    stream.writeUInt16LE(WITH_HEADER, DEFLATE.gzipFlag);
  }

  async step(input: Buffer, output: Buffer, last: boolean): Promise<CodecStep> {
    this.#prepare(input, output, last);
    const result = await inPool(this.#isal.deflate, this.#stream);
    if (result !== 0) throw new KernelError('isal_deflate', 'EINVAL', null, `isal_deflate gave ${String(result)}`);
    return this.outcome(input, output);
  }

  /** One step at once, on this thread. */
  run(input: Buffer, output: Buffer, last: boolean): number {
    this.#prepare(input, output, last);
    return this.#isal.deflate(this.#stream);
  }

  outcome(input: Buffer, output: Buffer): CodecStep {
    const stream = this.#stream;
    return {
      consumedBytes: input.length - stream.readUInt32LE(DEFLATE.availIn),
      producedBytes: output.length - stream.readUInt32LE(DEFLATE.availOut),
      ended: stream.readUInt32LE(DEFLATE.state) === STREAM_ENDED,
    };
  }

  #prepare(input: Buffer, output: Buffer, last: boolean): void {
    const stream = this.#stream;
    stream.writeBigUInt64LE(koffi.address(input), DEFLATE.nextIn);
    stream.writeUInt32LE(input.length, DEFLATE.availIn);
    stream.writeBigUInt64LE(koffi.address(output), DEFLATE.nextOut);
    stream.writeUInt32LE(output.length, DEFLATE.availOut);
    stream.writeUInt16LE(last ? 1 : 0, DEFLATE.endOfStream);
  }
}

async function inPool(call: Call, state: Buffer): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  call.async(state, (error, result) => (error === null ? resolve(result) : reject(error)));
  return promise;
}

/** A word there and back, and a wrong checksum found: the structures are where we think they are. */
function passesTrial(isal: Bindings): boolean {
  const [packed, plain] = [Buffer.alloc(1024), Buffer.alloc(1024)];
  const deflater = new IsalDeflater(isal);
  if (deflater.run(TRIAL, packed, true) !== 0) return false;
  const made = deflater.outcome(TRIAL, packed);
  // A header without extras has ten bytes.
  const member = packed.subarray(10, made.producedBytes);
  const back = inflateTrial(isal, member, plain);
  if (!made.ended || !back.ended || !plain.subarray(0, back.producedBytes).equals(TRIAL)) return false;
  member[member.length - 8] = (member.at(-8) ?? 0) ^ 1;
  return inflateTrial(isal, member, plain).fault === 'checksum';
}

function inflateTrial(isal: Bindings, member: Buffer, plain: Buffer): InflateStep {
  const inflater = new IsalInflater(isal);
  return inflater.outcome(inflater.run(member, plain), member, plain);
}

/** The kernel names the file itself, not the link to it. */
function isKnownVersion(): boolean {
  const minor = /\/libisal\.so\.2\.0\.(\d+)$/m.exec(readFileSync('/proc/self/maps', 'utf8'))?.[1];
  return minor !== undefined && Number(minor) >= OLDEST && Number(minor) <= NEWEST;
}

function bind(library: Library): Bindings {
  return {
    inflateInit: library.bind('void isal_inflate_init(void *state)'),
    inflateReset: library.bind('void isal_inflate_reset(void *state)'),
    inflate: library.bind('int isal_inflate(void *state)'),
    deflateInit: library.bind('void isal_deflate_init(void *stream)'),
    deflate: library.bind('int isal_deflate(void *stream)'),
  };
}
