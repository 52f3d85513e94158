import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { UnavailableError } from '../base/errors.ts';

/**
 * Takes the pid file for this process. UnavailableError in dockerd's words when the process it names is alive; a stale
 * one is taken over. Disposing removes it, unless somebody else has taken it since.
 */
export function takePidFile(path: string): Disposable {
  const other = readPid(path);
  if (other !== null && other !== process.pid && isAlive(other)) {
    throw new UnavailableError(
      `ensure docker is not running or delete ${path}: process with PID ${String(other)} is still running`,
    );
  }
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, String(process.pid), { mode: 0o644 });
  return {
    [Symbol.dispose]: () => {
      if (readPid(path) === process.pid) rmSync(path, { force: true });
    },
  };
}

function readPid(path: string): number | null {
  try {
    const pid = Number(readFileSync(path, 'utf8').trim());
    return Number.isInteger(pid) && pid > 0 ? pid : null;
  } catch {
    return null;
  }
}

/** A pid that was reused by an unrelated program is no engine: look at what runs under it. */
function isAlive(pid: number): boolean {
  try {
    const commandLine = readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8');
    return /service\/main|moored|dockerd/.test(commandLine);
  } catch {
    return false;
  }
}
