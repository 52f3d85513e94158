/** `--change` of import and commit: instructions that change an image's configuration and run nothing. */
import { InvalidArgumentError } from '../../base/errors.ts';
import type { ImageRunConfig } from '../oci/image-spec.ts';
import { entriesOf } from './arguments.ts';
import { LineFault } from './faults.ts';
import { readInstruction } from './instructions/read.ts';
import { readLines, type ReadLines } from './lines.ts';
import type { Instruction } from './types.ts';
import { applyToConfig, isConfigInstruction, type ConfigInstruction, type StageState } from './apply-config.ts';

const ALLOWED: ReadonlySet<string> = new Set<ConfigInstruction['kind']>([
  'cmd',
  'entrypoint',
  'env',
  'expose',
  'healthcheck',
  'label',
  'onbuild',
  'stopsignal',
  'user',
  'volume',
  'workdir',
]);

/** The configuration that the lines make of `base`. InvalidArgumentError, in Docker's words, for what is none of ours. */
export function applyChanges(changes: readonly string[], base: ImageRunConfig = {}): ImageRunConfig {
  if (changes.length === 0) return base;
  const { nodes, escape } = linesOf(changes.join('\n'));
  for (const { node } of nodes) {
    if (!ALLOWED.has(node.kind)) throw new InvalidArgumentError(`${node.keyword} is not a valid change command`);
  }
  let state: StageState = { config: base, author: null, isCommandSet: false };
  const meanings = nodes.map(({ node, heredocs }) => ({ node, ...readInstruction({ node, heredocs, escape }) }));
  for (const { node, expand } of meanings) {
    // No file: whoever gave the lines sees them.
    const line = { file: '', start: 1, end: 1, text: node.text };
    const instruction: Instruction = { line, ...expand(new Map(entriesOf(state.config.Env ?? []))) };
    if (isConfigInstruction(instruction)) state = applyToConfig(state, instruction, { isBuild: false }).state;
  }
  return state.config;
}

function linesOf(text: string): ReadLines {
  try {
    return readLines(text);
  } catch (error) {
    throw error instanceof LineFault ? new InvalidArgumentError(error.message, { cause: error }) : error;
  }
}
