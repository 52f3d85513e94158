/** `<<EOF`, `<<-EOF`, `<<"EOF"`: where a line asks for the lines that follow it. */
import type { Heredoc } from '../types.ts';

/** A heredoc before its lines are read. */
export interface HeredocMark {
  readonly name: string;
  readonly expands: boolean;
  /** `<<-`: tabs in front of each line go. */
  readonly isChomped: boolean;
}

const MARK = /^\d*<<(-?)[ \t\r]*([^<]+)$/;
/** Heredocs escape by `\` whatever the file's directive says: their names are the shell's. */
const ESCAPE = '\\';
const QUOTED = /'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)/gs;

/** The marks of a line, in order. */
export function heredocMarks(line: string): readonly HeredocMark[] {
  if (!line.includes('<<')) return [];
  return shellWords(line).flatMap((word) => heredocMark(word) ?? []);
}

/** What a word says of a heredoc; null: it is none. */
export function heredocMark(word: string): HeredocMark | null {
  const [, dash, rest] = MARK.exec(word) ?? [];
  if (rest === undefined) return null;
  const name = unquoted(rest.trim());
  if (name === null || name === '') return null;
  return { name, expands: quotesOf(name) === quotesOf(rest), isChomped: dash === '-' };
}

/** With its lines; each has its line feed. */
export function heredocOf(mark: HeredocMark, lines: readonly string[]): Heredoc {
  const content = lines.map((line) => (mark.isChomped ? line.replace(/^\t+/, '') : line)).join('');
  return { name: mark.name, content, expands: mark.expands };
}

/** The words of a shell's line, with quotes and escapes as they stand; none at all when a quote is not closed. */
function shellWords(line: string): readonly string[] {
  const words: string[] = [];
  let word = '';
  for (let at = 0; at < line.length; at += 1) {
    const character = line.charAt(at);
    if (/\s/.test(character)) {
      // The name may stand apart from its mark: `<< EOF`.
      if (word.endsWith('<<')) continue;
      if (word !== '') words.push(word);
      word = '';
    } else if (character === '"' || character === "'") {
      const end = closingQuote(line, at);
      if (end < 0) return [];
      word += line.slice(at, end + 1);
      at = end;
    } else if (character === ESCAPE) {
      word += line.slice(at, at + 2);
      at += 1;
    } else word += character;
  }
  if (word !== '') words.push(word);
  return words;
}

function closingQuote(line: string, from: number): number {
  const quote = line.charAt(from);
  for (let at = from + 1; at < line.length; at += 1) {
    const character = line.charAt(at);
    if (character === quote) return at;
    if (quote === '"' && character === ESCAPE) at += 1;
  }
  return -1;
}

/** Null: a quote is not closed, or it is more than one word. */
function unquoted(word: string): string | null {
  if (/['"\s]/.test(word.replace(QUOTED, ''))) return null;
  return word.replace(QUOTED, (_, single?: string, double?: string, escaped?: string) => {
    return single ?? double?.replace(/\\(["$\\])/g, '$1') ?? escaped ?? '';
  });
}

function quotesOf(text: string): number {
  return [...text].filter((character) => character === '"' || character === "'").length;
}
