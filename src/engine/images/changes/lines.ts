import { InvalidArgumentError } from '../../../base/errors.ts';

/** One instruction of a Dockerfile. */
export interface Instruction {
  /** Lower case: `env`. */
  readonly keyword: string;
  readonly flags: readonly string[];
  /** What follows keyword and flags, as written. */
  readonly rest: string;
  /** The whole line as written, continuations joined. */
  readonly original: string;
  /** `\`, or what a `# escape=` directive says. */
  readonly escape: string;
}

/** Splits Dockerfile text into instructions. InvalidArgumentError when there are none. */
export function parseLines(text: string): readonly Instruction[] {
  const lines = text.split(/\r?\n/);
  const escape = escapeDirective(lines);
  const continued = new RegExp(`${escape === '\\' ? '\\\\' : escape}[ \\t]*$`);
  const instructions: Instruction[] = [];
  let pending: string | null = null;
  for (const line of lines) {
    if (/^\s*#/.test(line) || (pending !== null && line.trim() === '')) continue;
    const whole: string = pending === null ? line.trimStart() : pending + line;
    if (continued.test(whole)) {
      pending = whole.replace(continued, '');
      continue;
    }
    pending = null;
    if (whole.trim() !== '') instructions.push(instructionOf(whole, escape));
  }
  if (pending !== null && pending.trim() !== '') instructions.push(instructionOf(pending, escape));
  if (instructions.length === 0) throw new InvalidArgumentError('file with no instructions');
  return instructions;
}

/** Splits at white space outside quotes, keeping quotes and escapes as they are. */
export function splitWords(text: string, escape: string): readonly string[] {
  const words: string[] = [];
  let word = '';
  let quote = '';
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (quote === '' && /\s/.test(character)) {
      if (word !== '') words.push(word);
      word = '';
      continue;
    }
    word += character;
    if (character === escape && quote !== "'") {
      at += 1;
      word += text.charAt(at);
    } else if (quote === '' && (character === '"' || character === "'")) quote = character;
    else if (character === quote) quote = '';
  }
  if (word !== '') words.push(word);
  return words;
}

/** The strings of a JSON array; null when the text is not JSON. InvalidArgumentError for an array of other things. */
export function parseJsonForm(text: string): readonly string[] | null {
  if (!text.trimStart().startsWith('[')) return null;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return null;
  }
  if (!Array.isArray(json)) return null;
  const items: readonly unknown[] = json;
  if (!items.every((item) => typeof item === 'string')) {
    throw new InvalidArgumentError('when using JSON array syntax, arrays must be comprised of strings only');
  }
  return items;
}

function instructionOf(line: string, escape: string): Instruction {
  const original = line.trim();
  const [, keyword = '', after = ''] = /^(\S+)\s*([\s\S]*)$/.exec(original) ?? [];
  const flags: string[] = [];
  let rest = after;
  for (;;) {
    const [whole, flag] = /^(--\S*)\s*/.exec(rest) ?? [];
    if (whole === undefined || flag === undefined) break;
    rest = rest.slice(whole.length);
    if (flag === '--') break;
    flags.push(flag.slice(2));
  }
  return { keyword: keyword.toLowerCase(), flags, rest, original, escape };
}

/** Directives stand before everything else; the first line that is none ends them. */
function escapeDirective(lines: readonly string[]): string {
  for (const line of lines) {
    const directive = /^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$/.exec(line.trimStart());
    if (directive === null) return '\\';
    const [, name = '', value = ''] = directive;
    if (name.toLowerCase() !== 'escape') continue;
    if (value === '`' || value === '\\') return value;
    throw new InvalidArgumentError(`invalid ESCAPE '${value}'. Must be ` + '` or \\');
  }
  return '\\';
}
