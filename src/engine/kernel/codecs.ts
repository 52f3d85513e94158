/**
 * Fast gzip by libraries that the host may have, for layer workers. Node's own zlib takes over where there is none.
 *
 * Vocabulary: a *member* is one gzip header, one deflate stream and its trailer (RFC 1952); a gzip file is one or more.
 *
 * Life cycle: a codec is opened, fed step by step and forgotten: its state is memory of ours. A step runs on a thread of
 * the pool, so that a worker hashes and writes one piece while the next is made: one step at a time, and its
 * buffers stay untouched until it has settled.
 */

/** What one step did. */
export interface CodecStep {
  /** Bytes of the input that were used up. */
  readonly consumedBytes: number;
  /** Bytes at the start of `output` that were written. */
  readonly producedBytes: number;
  /** The stream is complete: nothing of the input belongs to it any more. */
  readonly ended: boolean;
}

/** What a stream can be guilty of. */
export type StreamFault = 'block' | 'code' | 'distance' | 'checksum';

export interface InflateStep extends CodecStep {
  readonly fault: StreamFault | null;
}

/** Undoes members, from behind the header up to and with the trailer, whose checksum and length it verifies. */
export interface Inflater {
  /** Does as much as input and room allow. After a fault the codec is good for {@link Inflater.next} only. */
  step(input: Buffer, output: Buffer): Promise<InflateStep>;
  /** Gets ready for another member. */
  next(): void;
}

/** Makes one member, with header and trailer. */
export interface Deflater {
  /** Does as much as input and room allow. With `last` nothing comes after the input. */
  step(input: Buffer, output: Buffer, last: boolean): Promise<CodecStep>;
}

/** The fast libraries of this host. */
export interface Codecs {
  /** Null where the host has no library for it. */
  openInflater(): Inflater | null;
  /** Compresses about as gzip -1 does; null where the host has no library for it. */
  openDeflater(): Deflater | null;
}

/** A host without any. */
export const NO_CODECS: Codecs = { openInflater: () => null, openDeflater: () => null };
