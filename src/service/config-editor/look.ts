import { accessSync, constants, existsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Config } from '../../config/config.ts';
import { diffConfig, type ConfigChange } from '../../config/diff.ts';
import { HOST_FILES, type ConfigFiles } from '../../config/files.ts';
import { parseSysconfig, type Sysconfig } from '../../config/sysconfig.ts';
import { validateConfig, type Verdict } from '../../config/validate.ts';
import { FLAG_VARIABLES, KNOWN_VARIABLES } from '../../config/variables.ts';
import { configPaths, revisionOf } from './revision.ts';

/** What the configuration files say at one moment. */
export interface Look {
  readonly revision: string;
  /** Of the sysconfig file; null when there is none. */
  readonly content: Buffer | null;
  readonly sysconfig: Sysconfig;
  /** What a daemon would make of all files. */
  readonly verdict: Verdict;
  /** What only a restart would bring into force. */
  readonly pending: readonly ConfigChange[];
  readonly isWritable: boolean;
}

export function lookAt(running: Config): Look {
  const files = filesOf(running);
  const content = readOrNothing(files, running.sysconfigFile);
  const verdict = validateConfig({ ...running.sources, files });
  return {
    revision: revisionOf(files, configPaths(files, running.sysconfigFile, running.configFile)),
    content,
    sysconfig: parseSysconfig(content ?? Buffer.alloc(0), { knownKeys: KNOWN_VARIABLES, wordKeys: FLAG_VARIABLES }),
    verdict,
    pending: verdict.config === null ? [] : diffConfig(running, verdict.config).filter(({ reloadable }) => !reloadable),
    isWritable: isWritable(running.sysconfigFile),
  };
}

export function filesOf({ sources }: Config): ConfigFiles {
  return sources.files ?? HOST_FILES;
}

/** Variables with another value, or that came or went. */
export function changedKeys(before: Look, now: Look): readonly string[] {
  const old = before.sysconfig.variables;
  const fresh = now.sysconfig.variables;
  return [...new Set([...old.keys(), ...fresh.keys()])].filter(
    (name) => old.get(name)?.value !== fresh.get(name)?.value,
  );
}

function readOrNothing(files: ConfigFiles, path: string): Buffer | null {
  try {
    return files.read(path);
  } catch {
    // The verdict tells of it.
    return null;
  }
}

/** Whether the file can be replaced, as far as can be seen without doing it. */
function isWritable(path: string): boolean {
  try {
    accessSync(dirname(path), constants.W_OK);
    if (existsSync(path)) accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
