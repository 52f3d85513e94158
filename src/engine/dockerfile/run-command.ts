import type { ImageRunConfig } from '../oci/image-spec.ts';
import type { CommandForm, Heredoc } from './types.ts';
import { heredocMark } from './text/heredocs.ts';
import { shellOf } from './apply-config.ts';

/** What a RUN starts. */
export interface RunCommand {
  readonly words: readonly string[];
  /** A heredoc that begins with `#!` is a program: a file to be mounted. Null: there is none. */
  readonly script: RunScript | null;
}

/** A program for one step. */
export interface RunScript {
  /** Where the command expects it. */
  readonly target: string;
  readonly content: string;
}

/** Where BuildKit mounts programs of heredocs. */
const SCRIPTS = '/dev/pipes';

/** Program and arguments of a RUN: heredocs become what the shell reads, or a program of their own. */
export function runCommand(config: ImageRunConfig, command: CommandForm): RunCommand {
  if (command.kind === 'exec') return { words: command.words, script: null };
  const { text, heredocs } = command;
  const [first] = heredocs;
  if (first === undefined) return { words: [...shellOf(config), ...(text === '' ? [] : [text])], script: null };
  if (heredocMark(text) === null) return { words: [...shellOf(config), reassembled(text, heredocs)], script: null };
  if (!first.content.startsWith('#!')) return { words: [...shellOf(config), first.content], script: null };
  return scriptOf(first);
}

/** As the shell would have read it. */
function reassembled(text: string, heredocs: readonly Heredoc[]): string {
  return text + heredocs.map(({ name, content }) => `\n${content}${name}`).join('');
}

function scriptOf({ name, content }: Heredoc): RunCommand {
  const target = `${SCRIPTS}/${name.replaceAll('/', '_')}`;
  return { words: [target], script: { target, content } };
}
