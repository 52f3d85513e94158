import { unexpectedEnd } from '../tar/entry.ts';

const INPUT_BYTES = 256 * 1024;

/** Puts the next bytes of an input into a buffer; how many there were, 0 at its end. */
export type ReadInto = (into: Buffer) => number;

/** An input that is read once, a buffer at a time. */
export class InputWindow {
  readonly #read: ReadInto;
  readonly #buffer = Buffer.allocUnsafeSlow(INPUT_BYTES);
  #from = 0;
  #to = 0;

  constructor(read: ReadInto) {
    this.#read = read;
  }

  /** Bytes that were read and not used. */
  rest(): Buffer {
    return this.#buffer.subarray(this.#from, this.#to);
  }

  isEmpty(): boolean {
    return this.#from === this.#to;
  }

  skip(length: number): void {
    this.#from += length;
  }

  /** Reads on, when all is used; false at the end. */
  refill(): boolean {
    if (!this.isEmpty()) return true;
    this.#from = 0;
    this.#to = this.#read(this.#buffer);
    return this.#to > 0;
  }

  /** The first bytes of an input of which nothing was used: so many, or all there are. They stay. */
  start(length: number): Buffer {
    while (this.#to < length) {
      const read = this.#read(this.#buffer.subarray(this.#to));
      if (read === 0) break;
      this.#to += read;
    }
    return this.rest();
  }

  /** The next byte, which stays; null at the end. */
  peek(): number | null {
    return this.refill() ? (this.#buffer[this.#from] ?? null) : null;
  }

  /** The next byte. InvalidArgumentError at the end. */
  byte(): number {
    const value = this.peek();
    if (value === null) throw unexpectedEnd();
    this.#from += 1;
    return value;
  }
}
