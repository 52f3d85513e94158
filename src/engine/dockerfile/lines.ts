/**
 * From text to lines that say one thing each: directives at the top, comments dropped, continuation lines joined,
 * heredocs with the line that asks for them.
 */
import { InvalidArgumentError } from '../../base/errors.ts';
import { atLine, LineFault } from './faults.ts';
import { nodeOf, type Node } from './nodes.ts';
import { heredocOf } from './text/heredocs.ts';
import { splitFirst, withoutEnd } from './text/words.ts';
import type { Heredoc, ParsedDockerfile } from './types.ts';

type Escape = ParsedDockerfile['escape'];

/** A node and what it took of the lines behind it. */
export interface ReadNode {
  readonly node: Node;
  readonly heredocs: readonly Heredoc[];
  /** First and last line, from 1 on. */
  readonly start: number;
  readonly end: number;
}

export interface ReadLines {
  readonly nodes: readonly ReadNode[];
  readonly escape: Escape;
  readonly warnings: readonly string[];
}

/** Docker's scanner takes no longer line; and what is above the other two is no Dockerfile, but an attempt on the memory. */
const LONGEST_LINE_BYTES = 65_535;
const LONGEST_TEXT = 1024 * 1024;
const MOST_INSTRUCTIONS = 4000;

const DIRECTIVES = new Set(['syntax', 'escape', 'check']);
const DIRECTIVE = /^#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=(.*)$/s;

/** LineFault in the words of Docker's parser. */
export function readLines(text: string): ReadLines {
  return new LineReader(text).run();
}

class LineReader {
  readonly #lines: readonly string[];
  readonly #directives = new Set<string>();
  readonly #nodes: ReadNode[] = [];
  readonly #warnings: string[] = [];
  #isTop = true;
  #escape: Escape = '\\';
  /** Of lines taken: the last one's number. */
  #at = 0;

  constructor(text: string) {
    if (text.length > LONGEST_TEXT) {
      throw new LineFault(1, new InvalidArgumentError('it is longer than 1 MiB: COPY large texts from the context'));
    }
    this.#lines = text.replace(/^\ufeff/, '').match(/[^\n]*\n|[^\n]+$/g) ?? [];
    this.#checkLines();
  }

  run(): ReadLines {
    while (this.#at < this.#lines.length) {
      const whole = this.#instruction();
      if (whole !== null) this.#take(whole);
    }
    if (this.#nodes.length === 0) {
      throw new LineFault(Math.max(this.#at, 1), new InvalidArgumentError('file with no instructions'));
    }
    const warnings = this.#warnings.map((text) => `[WARNING]: ${text}`);
    if (warnings.length > 0) {
      warnings.push('[WARNING]: Empty continuation lines will become errors in a future release.');
    }
    return { nodes: this.#nodes, escape: this.#escape, warnings };
  }

  /** The next line with its continuation lines; null: it is empty or a comment. */
  #instruction(): { readonly text: string; readonly start: number } | null {
    const first = this.#next().trimStart();
    if (this.#isTop) this.#directive(first);
    const start = this.#at;
    let [part, isWhole] = this.#withoutContinuation(isComment(first) ? '' : withoutEnd(first, '\r\n'));
    if (isWhole && part === '') return null;
    const parts = [part];
    let hasEmptyLine = false;
    while (!isWhole && this.#at < this.#lines.length) {
      const line = this.#next();
      if (isComment(line)) continue;
      if (line.trim() === '') {
        hasEmptyLine = true;
        continue;
      }
      [part, isWhole] = this.#withoutContinuation(withoutEnd(line, '\r\n'));
      parts.push(part);
    }
    const text = parts.join('');
    if (hasEmptyLine) this.#warnings.push(`Empty continuation line found in: ${text}`);
    return text.trim() === '' ? null : { text, start };
  }

  #take({ text, start }: { readonly text: string; readonly start: number }): void {
    if (this.#nodes.length >= MOST_INSTRUCTIONS) {
      throw new LineFault(start, new InvalidArgumentError(`more than ${String(MOST_INSTRUCTIONS)} instructions`));
    }
    const node = atLine(start, keywordOf(text), () => nodeOf(text, this.#escape));
    const heredocs = node.heredocs.map((mark) => {
      const lines: string[] = [];
      for (;;) {
        if (this.#at >= this.#lines.length) {
          throw new LineFault(
            start,
            new InvalidArgumentError(`unterminated heredoc (end it with a line ${mark.name})`),
          );
        }
        const line = this.#next();
        const end = withoutEnd(line, '\r\n');
        if ((mark.isChomped ? end.replace(/^\t+/, '') : end) === mark.name) return heredocOf(mark, lines);
        lines.push(line);
      }
    });
    this.#nodes.push({ node, heredocs, start, end: this.#at });
  }

  /** `# escape=…` and its like stand before all else; the first line that is none ends them. */
  #directive(line: string): void {
    const [, name = '', rest = ''] = DIRECTIVE.exec(line) ?? [];
    const key = name.toLowerCase();
    const value = rest.trim();
    if (!DIRECTIVES.has(key) || value === '') {
      this.#isTop = false;
      return;
    }
    atLine(this.#at, '', () => {
      if (this.#directives.has(key)) throw new InvalidArgumentError(`only one ${key} parser directive can be used`);
      this.#directives.add(key);
      if (key !== 'escape') return;
      if (value !== '\\' && value !== '`') {
        throw new InvalidArgumentError(`invalid escape token '${value}' does not match \` or \\`);
      }
      this.#escape = value;
    });
  }

  /** The escape at a line's end joins it to the next one, unless it is escaped itself. */
  #withoutContinuation(line: string): [part: string, isWhole: boolean] {
    const end = withoutEnd(line, ' \t');
    const isContinued = end.endsWith(this.#escape) && end.at(-2) !== this.#escape;
    return isContinued ? [end.slice(0, -1), false] : [line, true];
  }

  #next(): string {
    const line = this.#lines[this.#at] ?? '';
    this.#at += 1;
    return line;
  }

  #checkLines(): void {
    for (const [index, line] of this.#lines.entries()) {
      const isShort = line.length * 3 <= LONGEST_LINE_BYTES || Buffer.byteLength(line) <= LONGEST_LINE_BYTES;
      const what = isShort
        ? `a NUL character: save the file as UTF-8 text`
        : `dockerfile line greater than max allowed size of ${String(LONGEST_LINE_BYTES)}`;
      if (!isShort || line.includes('\0')) throw new LineFault(index + 1, new InvalidArgumentError(what));
    }
  }
}

function keywordOf(text: string): string {
  return splitFirst(text.trim())[0].toLowerCase();
}

function isComment(line: string): boolean {
  return line.trimStart().startsWith('#');
}
