/** How moor ends when it is not simply done. */
export class ExitError extends Error {
  readonly exitCode: number;

  /** An empty message ends with the code alone: what is to be said has been said. */
  constructor(exitCode: number, message = '') {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The daemon's answer was an error: its status and its own words. */
export class DaemonError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(`Error response from daemon: ${message}`);
    this.status = status;
  }
}

/** Docker's exit codes of a run that never ran: 127 no such program, 126 not a program, 125 anything else. */
export function runExitCode(error: unknown): number {
  const text = error instanceof DaemonError ? error.message : '';
  if (/executable file not found|no such file or directory|system cannot find the file/i.test(text)) return 127;
  if (/permission denied|is a directory/i.test(text)) return 126;
  return 125;
}
