import { InvalidArgumentError } from '../../base/errors.ts';
import { heredocMarks, type HeredocMark } from './text/heredocs.ts';
import { goQuoteShort } from './text/go-quote.ts';
import { parseJsonForm, splitBlanks, splitFirst, splitFlags, splitWords } from './text/words.ts';

/** One line of the file, taken apart as its keyword wants it; not yet looked at for sense. */
export interface Node {
  /** As written. */
  readonly keyword: string;
  /** Lower case. */
  readonly kind: string;
  readonly flags: readonly string[];
  /** ENV and LABEL: names and values by turns. */
  readonly args: readonly string[];
  /** They stood in a JSON array. */
  readonly isJson: boolean;
  /** What the line asks for of those that follow it. */
  readonly heredocs: readonly HeredocMark[];
  /** Continuation lines joined. */
  readonly text: string;
}

type Arguments = Pick<Node, 'args' | 'isJson'>;
type Reader = (rest: string, escape: string) => Arguments;

const READERS: ReadonlyMap<string, Reader> = new Map<string, Reader>([
  ['add', jsonOrBlanks],
  ['arg', (rest, escape) => plain(splitWords(rest, escape))],
  ['cmd', jsonOrText],
  ['copy', jsonOrBlanks],
  ['entrypoint', jsonOrText],
  ['env', (rest, escape) => namesAndValues('ENV', rest, escape)],
  ['expose', (rest) => plain(splitBlanks(rest))],
  ['from', (rest) => plain(splitBlanks(rest))],
  ['healthcheck', healthcheck],
  ['label', (rest, escape) => namesAndValues('LABEL', rest, escape)],
  ['maintainer', wholeText],
  ['run', jsonOrText],
  ['shell', jsonOrText],
  ['stopsignal', wholeText],
  ['user', wholeText],
  ['volume', jsonOrBlanks],
  ['workdir', wholeText],
]);

const TAKE_HEREDOCS = new Set(['add', 'copy', 'run']);

/** All keywords, upper case. */
export const KEYWORDS: readonly string[] = ['onbuild', ...READERS.keys()].map((keyword) => keyword.toUpperCase());

/** InvalidArgumentError in the words of Docker's parser; an unknown keyword is a node without arguments. */
export function nodeOf(line: string, escape: string): Node {
  const text = line.trim();
  const [keyword, after] = splitFirst(text);
  const kind = keyword.toLowerCase();
  const { flags, rest } = splitFlags(after ?? '', escape);
  if (kind === 'onbuild') return { keyword, kind, flags, text, ...trigger(rest, escape) };
  const read = READERS.get(kind);
  const found = read === undefined ? plain([]) : read(rest, escape);
  const heredocs = TAKE_HEREDOCS.has(kind) && !found.isJson ? heredocMarks(text) : [];
  return { keyword, kind, flags, text, heredocs, ...found };
}

function plain(args: readonly string[]): Arguments {
  return { args, isJson: false };
}

function wholeText(rest: string): Arguments {
  return plain(rest === '' ? [] : [rest]);
}

function jsonOrText(rest: string): Arguments {
  const json = parseJsonForm(rest);
  return json === null ? wholeText(rest) : { args: json, isJson: true };
}

function jsonOrBlanks(rest: string): Arguments {
  const json = parseJsonForm(rest);
  return json === null ? plain(splitBlanks(rest)) : { args: json, isJson: true };
}

function healthcheck(rest: string): Arguments {
  if (rest === '') return plain([]);
  const kind = /^\S+/.exec(rest)?.[0] ?? '';
  const command = jsonOrText(rest.slice(kind.length).trim());
  return { args: [kind, ...command.args], isJson: command.isJson };
}

/** The trigger's keyword, and the heredocs that its own line asks for. */
function trigger(rest: string, escape: string): Arguments & Pick<Node, 'heredocs'> {
  const [keyword] = splitFirst(rest);
  if (keyword === '') return { ...plain([]), heredocs: [] };
  // A trigger in a trigger is refused later; to read on would let a line cost the square of its length.
  const isChain = keyword.toLowerCase() === 'onbuild';
  return { ...plain([keyword]), heredocs: isChain ? [] : nodeOf(rest, escape).heredocs };
}

/** `name=value …`, or the old form `name value with blanks`. */
function namesAndValues(keyword: string, rest: string, escape: string): Arguments {
  const words = splitWords(rest, escape);
  const [first] = words;
  if (first === undefined) return plain([]);
  if (!first.includes('=')) {
    const [name, value] = splitFirst(rest);
    if (value === null) throw new InvalidArgumentError(`${keyword} must have two arguments`);
    return plain([name, value]);
  }
  const pairs = words.flatMap((word) => {
    const equals = word.indexOf('=');
    if (equals >= 0) return [word.slice(0, equals), word.slice(equals + 1)];
    throw new InvalidArgumentError(
      `Syntax error - can't find = in ${goQuoteShort(word)}. Must be of the form: name=value`,
    );
  });
  return plain(pairs);
}
