import { InvalidArgumentError } from '../../../../base/errors.ts';

/**
 * File names in archives are bytes. Here they are *byte strings*: one UTF-16 unit per byte (latin1), which compare, split
 * and join like text and lose nothing; {@link readable} makes them text for messages.
 */
export type ByteString = string;

export type TarEntryType = 'file' | 'hardlink' | 'symlink' | 'character' | 'block' | 'directory' | 'fifo';

/** A piece of a sparse file that is in the archive; between the pieces are holes. */
export interface SparseSegment {
  readonly offset: number;
  readonly length: number;
}

/** One member of an archive, all extensions folded in. */
export interface TarEntry {
  readonly type: TarEntryType;
  /** As written: maybe absolute, maybe with `..`. */
  readonly name: ByteString;
  readonly linkName: ByteString;
  /** Size of the file when extracted. */
  readonly sizeBytes: number;
  /** Permission bits with set-id and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  readonly xattrs: ReadonlyMap<string, Buffer>;
  /** Null for ordinary files. */
  readonly sparse: readonly SparseSegment[] | null;
}

/** What goes on while an archive is read. Calls come in the archive's order; a throw ends the reading. */
export interface TarSink {
  /** A member begins. */
  entry(entry: TarEntry): void;
  /** Bytes of the present member that belong at `position` of the file. The chunk is valid during the call only. */
  data(chunk: Buffer, position: number): void;
  /** The present member is complete. */
  end(): void;
}

/** A byte string as text for people. */
export function readable(bytes: ByteString): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

/** Go's `tar.ErrHeader`, as dockerd prints it. */
export function invalidHeader(): InvalidArgumentError {
  return new InvalidArgumentError('archive/tar: invalid tar header');
}

/** Go's `io.ErrUnexpectedEOF`. */
export function unexpectedEnd(): InvalidArgumentError {
  return new InvalidArgumentError('unexpected EOF');
}
