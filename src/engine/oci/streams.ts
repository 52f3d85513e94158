/** Which of a process's output streams. A terminal has only `stdout`. */
export type OutputStream = 'stdout' | 'stderr';

/** Where output goes. */
export interface OutputSink {
  /** Takes one chunk in order; a promise asks the source to wait (back-pressure). */
  write(stream: OutputStream, chunk: Uint8Array): void | Promise<void>;
}
