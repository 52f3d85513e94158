import type { Node } from '../nodes.ts';
import type { Environment } from '../text/expansion.ts';
import { expandWord } from '../text/expansion.ts';
import type { Heredoc, Instruction } from '../types.ts';

/** A line and its heredocs, to be made sense of. */
export interface Line {
  readonly node: Node;
  readonly heredocs: readonly Heredoc[];
  readonly escape: string;
}

type WithoutLine<T> = T extends unknown ? Omit<T, 'line'> : never;
type Body = WithoutLine<Instruction>;

/** What a line means, as far as that can be said without values. */
export interface Meaning {
  readonly needs: readonly string[];
  readonly declares?: readonly string[];
  readonly expand: (environment: Environment) => Body;
}

/** A function that makes sense of one kind of line. InvalidArgumentError in Docker's words. */
export type Reader = (line: Line) => Meaning;

/** Expands one word at a time. */
export type Expander = (word: string) => string;

export function meaning(expand: (expander: Expander, environment: Environment) => Body, line: Line): Meaning {
  return {
    needs: [],
    expand: (environment) => expand((word) => expandWord(word, environment, line.escape), environment),
  };
}
