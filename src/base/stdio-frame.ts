/**
 * Docker's multiplexed stream, of attach, exec and logs without a terminal:
 *
 *   byte 0     stream: 1 stdout, 2 stderr
 *   bytes 1–3  0
 *   bytes 4–7  length of the payload, big-endian
 *   then       payload
 *
 * A frame may hold many lines; with a terminal there are no frames at all.
 */
const HEADER_BYTES = 8;

/** The number of each output stream on the wire. */
export const STREAM_NUMBER = { stdout: 1, stderr: 2 } as const;

/** One frame. */
export function frame(stream: keyof typeof STREAM_NUMBER, parts: readonly Uint8Array[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const header = Buffer.alloc(HEADER_BYTES);
  header[0] = STREAM_NUMBER[stream];
  header.writeUInt32BE(length, 4);
  return Buffer.concat([header, ...parts], HEADER_BYTES + length);
}
