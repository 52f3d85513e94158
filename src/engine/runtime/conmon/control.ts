/**
 * conmon's two fifos: `ctl` (`2 0 0` reopens the log) and `winsz` (`height width`). conmon reads up to 199 bytes at a
 * time and, when several lines come in one read, takes the first for all of them (seen in 2.1.6). So each message is
 * padded to exactly one read; it scans leading blanks away.
 */
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { errnoCodeOf } from '../../../base/errors.ts';

const READ_SIZE = 199;

/** Sets the terminal's size. Harmless when there is no terminal or the monitor has gone. */
export function sendSize(bundlePath: string, size: { readonly height: number; readonly width: number }): void {
  send(`${bundlePath}/winsz`, `${String(size.height)} ${String(size.width)}`);
}

/** Asks for a fresh log file; false when the monitor has gone. */
export function sendReopenLog(bundlePath: string): boolean {
  return send(`${bundlePath}/ctl`, '2 0 0');
}

function send(path: string, text: string): boolean {
  let fd: number;
  try {
    fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (error) {
    const code = errnoCodeOf(error);
    if (code === 'ENXIO' || code === 'ENOENT') return false;
    throw error;
  }
  try {
    writeSync(fd, `${text}\n`.padStart(READ_SIZE));
    return true;
  } finally {
    closeSync(fd);
  }
}
