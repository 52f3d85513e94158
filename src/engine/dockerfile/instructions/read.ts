import { InvalidArgumentError } from '../../../base/errors.ts';
import { KEYWORDS } from '../nodes.ts';
import { withSuggestion } from '../text/suggestion.ts';
import type { InstructionKind } from '../types.ts';
import { add, copy } from './copying.ts';
import { healthcheck } from './healthcheck.ts';
import type { Line, Meaning, Reader } from './meaning.ts';
import { arg, env, label } from './pairs.ts';
import { cmd, entrypoint, run } from './running.ts';
import { expose, maintainer, onbuild, shell, stopsignal, user, volume, workdir } from './simple.ts';

const READERS: Readonly<Record<InstructionKind, Reader>> = {
  add,
  arg,
  cmd,
  copy,
  entrypoint,
  env,
  expose,
  healthcheck,
  label,
  maintainer,
  onbuild,
  run,
  shell,
  stopsignal,
  user,
  volume,
  workdir,
};

/** What a line means that is no FROM. InvalidArgumentError in Docker's words. */
export function readInstruction(line: Line): Meaning & { readonly kind: InstructionKind } {
  const { keyword, kind } = line.node;
  if (!isInstruction(kind)) {
    throw new InvalidArgumentError(unknownInstruction(keyword));
  }
  return { kind, ...READERS[kind](line) };
}

function isInstruction(kind: string): kind is InstructionKind {
  return Object.hasOwn(READERS, kind);
}

/** In the letters that it was written in. */
function unknownInstruction(keyword: string): string {
  const isLower = keyword === keyword.toLowerCase();
  const options = isLower ? KEYWORDS.map((known) => known.toLowerCase()) : KEYWORDS;
  return withSuggestion(`unknown instruction: ${keyword}`, isLower ? keyword : keyword.toUpperCase(), options);
}
