/**
 * Docker's multiplexed stream, of attach, exec and logs without a terminal:
 *
 *   byte 0     stream: 1 stdout, 2 stderr
 *   bytes 1–3  0
 *   bytes 4–7  length of the payload, big-endian
 *   then       payload
 *
 * A frame holds what was read at once, or one line of a log; with a terminal there are no frames at all.
 */
export const FRAME_HEADER_BYTES = 8;

/** The number of each output stream on the wire. */
export const STREAM_NUMBER = { stdout: 1, stderr: 2 } as const;

/** One frame. */
export function frame(stream: keyof typeof STREAM_NUMBER, parts: readonly Uint8Array[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  writeFrameHeader(header, stream, length);
  return Buffer.concat([header, ...parts], FRAME_HEADER_BYTES + length);
}

/** Puts a frame's header at the beginning of `target`. */
export function writeFrameHeader(target: Buffer, stream: keyof typeof STREAM_NUMBER, length: number): void {
  target.writeUInt32BE(STREAM_NUMBER[stream] * 2 ** 24, 0);
  target.writeUInt32BE(length, 4);
}
