/** What `ExecCapture` keeps of each stream: enough for a program's answer, little enough for a message. */
const MAX_BYTES = 1024 * 1024;

/** The first bytes of a stream. */
export class Capture {
  readonly #name: string;
  readonly #chunks: Uint8Array[] = [];
  #length = 0;
  #dropped = 0;

  constructor(name: string) {
    this.#name = name;
  }

  add(chunk: Uint8Array): void {
    const kept = chunk.subarray(0, MAX_BYTES - this.#length);
    // The source uses its buffer again.
    if (kept.length > 0) this.#chunks.push(Buffer.from(kept));
    this.#length += kept.length;
    this.#dropped += chunk.length - kept.length;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** A line that says what is missing; '' when nothing is. */
  get note(): string {
    if (this.#dropped === 0) return '';
    return `moored: ${this.#name} was cut after ${String(MAX_BYTES)} bytes, ${String(this.#dropped)} are missing\n`;
  }
}
