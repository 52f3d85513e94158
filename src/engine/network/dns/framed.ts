/** Messages on a TCP connection, each behind its length in two bytes (RFC 1035 §4.2.2). Pure. */

const LENGTH_BYTES = 2;

/** A message as it is sent. */
export function framed(message: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(LENGTH_BYTES + message.length);
  bytes.writeUInt16BE(message.length, 0);
  message.copy(bytes, LENGTH_BYTES);
  return bytes;
}

/** Puts messages together out of what comes in; holds one unfinished message at most. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #length = 0;

  /** The messages that are whole now. */
  take(chunk: Buffer): readonly Buffer[] {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (this.#length < LENGTH_BYTES) return [];
    // Joined only when a message is whole: somebody who sends byte by byte must not cost a copy of all for each.
    const [first = chunk] = this.#chunks;
    if (first.length < LENGTH_BYTES) this.#chunks = [Buffer.concat(this.#chunks)];
    const needed = LENGTH_BYTES + (this.#chunks[0] ?? chunk).readUInt16BE(0);
    if (this.#length < needed) return [];
    const bytes = Buffer.concat(this.#chunks);
    const messages: Buffer[] = [];
    let at = 0;
    while (at + LENGTH_BYTES <= bytes.length) {
      const end = at + LENGTH_BYTES + bytes.readUInt16BE(at);
      if (end > bytes.length) break;
      messages.push(bytes.subarray(at + LENGTH_BYTES, end));
      at = end;
    }
    this.#length = bytes.length - at;
    this.#chunks = this.#length === 0 ? [] : [bytes.subarray(at)];
    return messages;
  }
}
