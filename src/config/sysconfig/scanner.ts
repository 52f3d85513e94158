/**
 * One pass over the text of a sysconfig file with the automaton of systemd's EnvironmentFile reader
 * (src/basic/env-file.c), but keeping where everything stands. The text holds one character a byte (latin1), so that
 * offsets are byte offsets and what is not UTF-8 survives a rewrite.
 *
 *   blank       nothing but blanks
 *   comment     `#` or `;` first on the line; behind a backslash at its end systemd before 254 goes on reading comment
 *   assignment  name=value; the value may span lines inside quotes and behind a backslash
 *   junk        a line with no `=`: systemd skips it without a word
 *
 * A line ends at LF or CR; a CRLF belongs to one segment.
 */
export interface Segment {
  readonly kind: 'blank' | 'comment' | 'assignment' | 'junk';
  /** Offset of its first character and of the first one behind it; its line end is included. */
  readonly start: number;
  readonly end: number;
  /** Offset of its line end. */
  readonly textEnd: number;
  /** Line of its first character, counted from 1. */
  readonly line: number;
}

export interface AssignmentSegment extends Segment {
  readonly kind: 'assignment';
  /** What stands before the `=`, without blanks around it; not always a legal name. */
  readonly name: string;
  /** Offset behind the `=`. */
  readonly valueStart: number;
  /** As systemd reads it, one character a byte. */
  readonly value: string;
  readonly quoting: Quoting;
  /** The quote that the file ends in; null when all are closed. */
  readonly openQuote: '"' | "'" | null;
  /** Text stood behind a closing quote, and was taken as part of the value. */
  readonly hasTextAfterQuote: boolean;
}

export type Quoting = 'none' | 'double' | 'single' | 'mixed';

export type AnySegment = (Segment & { readonly kind: 'blank' | 'comment' | 'junk' }) | AssignmentSegment;

const BLANKS = ' \t\n\r';
const LINE_ENDS = '\n\r';
const COMMENT_SIGNS = '#;';
/** What a backslash frees inside double quotes. */
const FREED_IN_QUOTES = '"\\`$';

export function scan(text: string): readonly AnySegment[] {
  const segments: AnySegment[] = [];
  let offset = 0;
  let line = 1;
  while (offset < text.length) {
    const segment = scanOne(text, offset, line);
    segments.push(segment);
    line += countLines(text, offset, segment.end);
    offset = segment.end;
  }
  return segments;
}

function scanOne(text: string, start: number, line: number): AnySegment {
  let at = start;
  while (at < text.length && isBlank(text[at])) at += 1;
  if (at >= text.length || isLineEnd(text[at])) {
    return { kind: 'blank', start, textEnd: at, end: behindLineEnd(text, at), line };
  }
  const lineEnd = endOfLine(text, at);
  if (COMMENT_SIGNS.includes(text[at] ?? '')) {
    return { kind: 'comment', start, textEnd: lineEnd, end: behindLineEnd(text, lineEnd), line };
  }
  // The name's first character is taken as it is, be it an equals sign.
  const equals = text.indexOf('=', at + 1);
  if (equals === -1 || equals >= lineEnd) {
    return { kind: 'junk', start, textEnd: lineEnd, end: behindLineEnd(text, lineEnd), line };
  }
  const value = scanValue(text, equals + 1);
  return {
    kind: 'assignment',
    start,
    line,
    name: trimBlanks(text.slice(at, equals)),
    valueStart: equals + 1,
    value: value.value,
    quoting: value.quoting,
    openQuote: value.openQuote,
    hasTextAfterQuote: value.hasTextAfterQuote,
    textEnd: value.end,
    end: behindLineEnd(text, value.end),
  };
}

interface ScannedValue {
  readonly value: string;
  readonly end: number;
  readonly quoting: Quoting;
  readonly openQuote: '"' | "'" | null;
  readonly hasTextAfterQuote: boolean;
}

/** Quoted parts first, blanks between them dropped; from the first bare character on everything is bare. */
function scanValue(text: string, start: number): ScannedValue {
  let value = '';
  const quotes = new Set<'"' | "'">();
  let at = start;
  for (; at < text.length && !isLineEnd(text[at]); at += 1) {
    const character = text[at] ?? '';
    if (isBlank(character)) continue;
    if (character !== '"' && character !== "'") break;
    quotes.add(character);
    const part = character === '"' ? scanDoubleQuoted(text, at + 1) : scanSingleQuoted(text, at + 1);
    value += part.value;
    at = part.end;
    if (!part.isClosed) {
      return { value, end: at, quoting: quotingOf(quotes, false), openQuote: character, hasTextAfterQuote: false };
    }
  }
  const bare = scanBare(text, at);
  return {
    value: value + bare.value,
    end: bare.end,
    quoting: quotingOf(quotes, bare.end > at),
    openQuote: null,
    hasTextAfterQuote: quotes.size > 0 && bare.end > at,
  };
}

function quotingOf(quotes: ReadonlySet<'"' | "'">, hasBare: boolean): Quoting {
  if (quotes.size === 0) return 'none';
  if (quotes.size > 1 || hasBare) return 'mixed';
  return quotes.has('"') ? 'double' : 'single';
}

interface QuotedPart {
  readonly value: string;
  /** Offset of the closing quote, or the text's length. */
  readonly end: number;
  readonly isClosed: boolean;
}

function scanSingleQuoted(text: string, start: number): QuotedPart {
  const close = text.indexOf("'", start);
  const end = close === -1 ? text.length : close;
  return { value: text.slice(start, end), end, isClosed: close !== -1 };
}

function scanDoubleQuoted(text: string, start: number): QuotedPart {
  let value = '';
  for (let at = start; at < text.length; at += 1) {
    const character = text[at] ?? '';
    if (character === '"') return { value, end: at, isClosed: true };
    if (character !== '\\') {
      value += character;
      continue;
    }
    at += 1;
    const escaped = text[at] ?? '';
    if (escaped === '' || escaped === '\n') continue;
    value += FREED_IN_QUOTES.includes(escaped) ? escaped : `\\${escaped}`;
  }
  return { value, end: text.length, isClosed: false };
}

/** Up to the line's end; blanks at the end go, unless a backslash stands before them. */
function scanBare(text: string, start: number): { readonly value: string; readonly end: number } {
  let value = '';
  let kept = 0;
  let at = start;
  for (; at < text.length && !isLineEnd(text[at]); at += 1) {
    const character = text[at] ?? '';
    if (character === '\\') {
      at += 1;
      const escaped = text[at] ?? '';
      if (!isLineEnd(escaped)) value += escaped;
      kept = value.length;
      continue;
    }
    value += character;
    if (!isBlank(character)) kept = value.length;
  }
  return { value: value.slice(0, kept), end: Math.min(at, text.length) };
}

function isBlank(character: string | undefined): boolean {
  return character !== undefined && character !== '' && BLANKS.includes(character) && !isLineEnd(character);
}

function isLineEnd(character: string | undefined): boolean {
  return character !== undefined && character !== '' && LINE_ENDS.includes(character);
}

/** Regular expressions, since most of a file is comment and this runs on the daemon's way up. */
function endOfLine(text: string, from: number): number {
  LINE_END.lastIndex = from;
  return LINE_END.exec(text)?.index ?? text.length;
}

const LINE_END = /[\n\r]/g;
/** Each line end once: a CR before a LF is none of its own. */
const LINE_BREAK = /\r(?!\n)|\n/g;

function behindLineEnd(text: string, at: number): number {
  if (at >= text.length) return text.length;
  return text[at] === '\r' && text[at + 1] === '\n' ? at + 2 : at + 1;
}

function countLines(text: string, start: number, end: number): number {
  let count = 0;
  LINE_BREAK.lastIndex = start;
  for (let found = LINE_BREAK.exec(text); found !== null && found.index < end; found = LINE_BREAK.exec(text))
    count += 1;
  return count;
}

function trimBlanks(text: string): string {
  let end = text.length;
  while (end > 0 && isBlank(text[end - 1])) end -= 1;
  return text.slice(0, end);
}
