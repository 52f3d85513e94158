/** Programs that set things up, once; never at a container's start. */
import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import { UnavailableError } from '../../../../base/errors.ts';
import type { ProcessCalls } from '../../../kernel/kernel.ts';

const PLACES = ['/usr/sbin', '/sbin', '/usr/bin', '/bin', '/usr/local/sbin', '/usr/local/bin'];
const ENVIRONMENT = { PATH: PLACES.join(':'), LC_ALL: 'C' };

/** Programs of this machine. */
export interface Programs {
  /** Where a program lies; null when it is not installed. */
  find(name: string): Promise<string | null>;
  /** Runs it and gives what it printed. UnavailableError with its own words. */
  run(name: string, words: readonly string[]): Promise<string>;
}

export function systemPrograms(processes: Pick<ProcessCalls, 'capture'>): Programs {
  return { find: findProgram, run: async (name, words) => runProgram(processes, name, words) };
}

/** Where a program lies; null when it is not installed. */
export async function findProgram(name: string): Promise<string | null> {
  for (const place of PLACES) {
    const path = join(place, name);
    if (await isExecutable(path)) return path;
  }
  return null;
}

/** Runs a program and gives what it printed. UnavailableError with its own words. */
export async function runProgram(
  processes: Pick<ProcessCalls, 'capture'>,
  name: string,
  words: readonly string[],
): Promise<string> {
  const path = await findProgram(name);
  if (path === null) throw new UnavailableError(`exec: "${name}": executable file not found in $PATH`);
  const { code, signal, stdout, stderr } = await processes.capture({ argv: [path, ...words], env: ENVIRONMENT });
  if (code === 0) return stdout;
  const end = code === null ? `signal ${String(signal)}` : `exit status ${String(code)}`;
  const said = [stderr, stdout].map((text) => text.trim()).filter(Boolean);
  throw new UnavailableError(`${said.join(' ')}: ${name}: ${end}`);
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
