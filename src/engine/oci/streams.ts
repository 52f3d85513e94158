/** Which of a process's output streams. A terminal has only `stdout`. */
export type OutputStream = 'stdout' | 'stderr';

/** Where output goes. */
export interface OutputSink {
  /**
   * Takes one chunk in order; a promise asks the source to wait (back-pressure). The bytes may be looked at until it
   * returns, or until that promise settles: the source uses its buffer again.
   */
  write(stream: OutputStream, chunk: Uint8Array): void | Promise<void>;
}
