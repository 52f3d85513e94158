import { readFileSync } from 'node:fs';
import { pathErrorText } from '../../base/errno-text.ts';
import { errnoCodeOf, messageOf } from '../../base/errors.ts';
import { mergeTemplate } from './merge.ts';
import { HOST_EFFECTS, replaceFile, type FileEffects } from './replace-file.ts';

export interface MergeCommandOptions {
  readonly effects?: FileEffects;
  /** Where a line for the user goes; standard error. */
  readonly tell?: (line: string) => void;
}

/**
 * `moored sysconfig merge TEMPLATE TARGET`, for the install script and packages: see {@link mergeTemplate}. Returns the
 * exit code: 0 when TARGET holds the result, 1 when it was left as it is, 64 when the words are wrong.
 */
export function runSysconfigMerge(
  argv: readonly string[],
  { effects = HOST_EFFECTS, tell = (line) => void process.stderr.write(`${line}\n`) }: MergeCommandOptions = {},
): number {
  const [verb, template, target, ...excess] = argv;
  if (verb !== 'merge' || template === undefined || target === undefined || excess.length > 0) {
    tell('Usage:  moored sysconfig merge TEMPLATE TARGET');
    return EXIT_USAGE;
  }
  try {
    const existing = readUnlessMissing(target);
    const merged = mergeTemplate(read(template), existing);
    if (existing === null || !merged.equals(existing)) write(target, merged, effects);
    return 0;
  } catch (error) {
    tell(`${target} is left as it is: ${messageOf(error)}`);
    return 1;
  }
}

/** EX_USAGE of sysexits.h. */
const EXIT_USAGE = 64;

function read(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new Error(pathErrorText('open', path, error), { cause: error });
  }
}

function readUnlessMissing(path: string): Buffer | null {
  try {
    return readFileSync(path);
  } catch (error) {
    if (errnoCodeOf(error) === 'ENOENT') return null;
    throw new Error(pathErrorText('open', path, error), { cause: error });
  }
}

function write(path: string, content: Buffer, effects: FileEffects): void {
  try {
    replaceFile(path, content, { effects });
  } catch (error) {
    throw new Error(pathErrorText('write', path, error), { cause: error });
  }
}
