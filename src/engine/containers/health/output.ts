/** How much of a probe's output is kept. */
const LIMIT_BYTES = 4096;

/** Keeps the beginning of what a probe writes; `...` says that there was more. */
export class ProbeOutput {
  #kept: Buffer[] = [];
  #bytes = 0;
  #isCut = false;

  write(chunk: Uint8Array): void {
    const room = LIMIT_BYTES - this.#bytes;
    if (chunk.length > room) this.#isCut = true;
    if (room <= 0) return;
    // A copy: the sender may use its buffer again.
    const part = Buffer.from(chunk.subarray(0, room));
    this.#kept.push(part);
    this.#bytes += part.length;
  }

  toString(): string {
    return `${Buffer.concat(this.#kept).toString()}${this.#isCut ? '...' : ''}`;
  }
}
