import { InvalidArgumentError } from '../../../base/errors.ts';

const DEFAULT_KEYS = 'ctrl-p,ctrl-q';
/** Nothing detaches: without a terminal stdin is data, in which any two bytes may follow one another. */
export const NO_KEYS: Buffer = Buffer.alloc(0);
/** What `ctrl-` may stand before, besides letters, and its byte. */
const CONTROL_BYTES: Readonly<Record<string, number>> = { '@': 0, '[': 27, '\\': 28, ']': 29, '^': 30, _: 31 };

/**
 * Bytes of a detach sequence (`ctrl-p,ctrl-q`, `a,b`); null means the default, '' none.
 * InvalidArgumentError in Docker's words (`noun` is its name for the keys) for an unknown key.
 */
export function parseDetachKeys(text: string | null, noun: 'detach' | 'escape' = 'detach'): Buffer {
  const keys = text ?? DEFAULT_KEYS;
  if (keys === '') return Buffer.alloc(0);
  const bytes = keys.split(',').map(byteOf);
  const known = bytes.filter((byte) => byte !== null);
  if (known.length < bytes.length) throw new InvalidArgumentError(`Invalid ${noun} keys (${keys}) provided`);
  return Buffer.from(known);
}

/** Looks for the detach sequence in what a user types. A started sequence is held back until it is decided. */
export class DetachWatch {
  readonly #keys: Buffer;
  #matched = 0;

  constructor(keys: Buffer) {
    this.#keys = keys;
  }

  /** What of `chunk` (and of keys held back before) is to be forwarded, and whether the sequence is complete. */
  feed(chunk: Buffer): { readonly forward: Buffer; readonly detached: boolean } {
    const [first] = this.#keys;
    // What is pasted comes by the kilobyte.
    if (first === undefined || (this.#matched === 0 && !chunk.includes(first))) {
      return { forward: chunk, detached: false };
    }
    const out: number[] = [];
    for (const byte of chunk) {
      this.#matched = this.#advance(byte, out);
      if (this.#matched === this.#keys.length) return { forward: Buffer.from(out), detached: true };
    }
    return { forward: Buffer.from(out), detached: false };
  }

  /** Keys still held back when the typing ends. */
  rest(): Buffer {
    const held = this.#keys.subarray(0, this.#matched);
    this.#matched = 0;
    return held;
  }

  /** Takes one byte; what can no longer belong to the sequence goes to `out`. Returns how much is matched now. */
  #advance(byte: number, out: number[]): number {
    const typed = [...this.#keys.subarray(0, this.#matched), byte];
    let from = 0;
    while (from < typed.length && !isPrefix(typed, from, this.#keys)) from++;
    out.push(...typed.slice(0, from));
    return typed.length - from;
  }
}

function isPrefix(typed: readonly number[], from: number, keys: Buffer): boolean {
  return typed.slice(from).every((byte, index) => keys[index] === byte);
}

/** Null for what is no key. */
function byteOf(key: string): number | null {
  if (key.length === 1) return key.charCodeAt(0);
  const control = /^ctrl-(.)$/.exec(key)?.[1];
  if (control !== undefined) {
    if (/[a-z]/.test(control)) return control.charCodeAt(0) - 'a'.charCodeAt(0) + 1;
    const byte = CONTROL_BYTES[control];
    if (byte !== undefined) return byte;
  }
  return null;
}
