/**
 * How far a container's log was shipped, in a file of one line of JSON, written over in place after each batch: a killed
 * daemon leaves the old or the new one. What an older, longer one leaves behind the newline counts for nothing.
 */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import type { Timestamp } from '../../../base/clock.ts';
import type { OpenLine, OpenLines } from './line-joiner.ts';

const MODE = 0o600;

/** A place in the monitor's log. */
export interface Place {
  readonly inode: number;
  readonly offset: number;
  /** The file's first bytes, by which another file that got the inode is known; '' while it had none. */
  readonly head: string;
}

export interface Position extends Place {
  /** The sink's. */
  readonly mark: string;
  readonly open: OpenLines;
}

/** Null when there is none, or none that can be read. */
export function readPosition(path: string): Position | null {
  try {
    return decodePosition(readFileSync(path, 'utf8'));
  } catch {
    return null;
  }
}

/** Null for what is no position. */
export function decodePosition(text: string): Position | null {
  try {
    return JSON.parse(text.slice(0, text.indexOf('\n')), revive) as Position;
  } catch {
    return null;
  }
}

/** The file, held open. */
export class PositionFile implements Disposable {
  readonly #fd: number;

  constructor(path: string) {
    this.#fd = openSync(path, 'a+', MODE);
    closeSync(this.#fd);
    this.#fd = openSync(path, 'r+');
  }

  write(position: Position): void {
    writeSync(this.#fd, `${JSON.stringify(position, replace)}\n`, 0);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

function replace(this: unknown, key: string, value: unknown): unknown {
  if (key !== 'open') return value;
  const open = value as OpenLines;
  return Object.fromEntries(
    Object.entries(open).map(([stream, { bytes, time, ordinal, id }]) => [
      stream,
      { text: bytes.toString('base64'), time: String(time), ordinal, id },
    ]),
  );
}

interface KeptLine extends Pick<OpenLine, 'ordinal' | 'id'> {
  readonly text: string;
  readonly time: string;
}

function revive(key: string, value: unknown): unknown {
  if (key !== 'open') return value;
  return Object.fromEntries(
    Object.entries(value as Readonly<Record<string, KeptLine>>).map(([stream, { text, time, ordinal, id }]) => [
      stream,
      { bytes: Buffer.from(text, 'base64'), time: BigInt(time) as Timestamp, ordinal, id },
    ]),
  );
}
