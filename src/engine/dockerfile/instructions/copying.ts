/** COPY and ADD. */
import { InvalidArgumentError } from '../../../base/errors.ts';
import { expandText } from '../text/expansion.ts';
import { heredocMark } from '../text/heredocs.ts';
import type { Heredoc } from '../types.ts';
import { readFlags, type Flags } from './flags.ts';
import { meaning, type Line, type Reader } from './meaning.ts';

const COMMON = { chown: 'text', chmod: 'text', link: 'truth', exclude: 'list' } as const;

export const copy: Reader = (line) => {
  requireDestination('COPY', line);
  const flags = readFlags(line.node.flags, { ...COMMON, from: 'text', parents: 'truth' });
  const from = flags.text('from');
  if (from !== null && /\$./.test(from)) {
    throw new InvalidArgumentError(
      'variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a ' +
        'workaround',
    );
  }
  return copying('copy', line, flags);
};

export const add: Reader = (line) => {
  requireDestination('ADD', line);
  const kinds = { ...COMMON, checksum: 'text', 'keep-git-dir': 'truth', unpack: 'truth' } as const;
  return copying('add', line, readFlags(line.node.flags, kinds));
};

function copying(kind: 'copy' | 'add', line: Line, flags: Flags): ReturnType<Reader> {
  const words = line.node.args.slice(0, -1);
  const destination = line.node.args.at(-1) ?? '';
  if (!line.node.isJson && heredocMark(destination) !== null) {
    throw new InvalidArgumentError(`${kind.toUpperCase()} cannot accept a heredoc as a destination`);
  }
  const { sources, heredocs } = sourcesOf(words, line);
  const from = flags.text('from');
  const { expand } = meaning((expandWord, environment) => {
    const given = (name: string): string | null => {
      const value = flags.text(name);
      return value === null || value === '' ? null : expandWord(value) || null;
    };
    return {
      kind,
      sources: sources.map(expandWord),
      heredocs: heredocs.map((heredoc) =>
        heredoc.expands ? { ...heredoc, content: expandText(heredoc.content, environment) } : heredoc,
      ),
      destination: expandWord(destination),
      from: from === '' ? null : from,
      chown: given('chown'),
      chmod: given('chmod'),
      link: flags.truth('link') ?? false,
      parents: flags.truth('parents') ?? false,
      excludes: flags.list('exclude'),
      checksum: given('checksum'),
      keepGitDir: flags.truth('keep-git-dir') ?? false,
      unpack: flags.truth('unpack'),
    };
  }, line);
  return { needs: from === null || from === '' ? [] : [from], expand };
}

/** Words that name files, and the heredocs among them. */
function sourcesOf(
  words: readonly string[],
  { node, heredocs }: Line,
): { readonly sources: readonly string[]; readonly heredocs: readonly Heredoc[] } {
  if (node.isJson || heredocs.length === 0) return { sources: words, heredocs: [] };
  const marked = words.map((word) => heredocMark(word)?.name ?? null);
  return {
    sources: words.filter((_, index) => marked[index] === null),
    heredocs: marked.flatMap((name) =>
      name === null ? [] : (heredocs.find((heredoc) => heredoc.name === name) ?? []),
    ),
  };
}

function requireDestination(keyword: string, { node }: Line): void {
  if (node.args.length >= 2) return;
  throw new InvalidArgumentError(
    `${keyword} requires at least two arguments, but only one was provided. Destination could not be determined`,
  );
}
