/**
 * How the other readers of a sysconfig file take an assignment, for telling where they part from systemd. All take the
 * assignment's raw text and return its value, or null where they see no constant value of that name.
 */

/**
 * A POSIX shell that sources the file: parts in quotes and without, joined, up to the first bare blank; a comment may
 * follow. Null for what it would expand, run, or pass to a command only.
 */
export function readAsShell(raw: string): string | null {
  const head = /^[ \t]*[A-Za-z_][A-Za-z0-9_]*=/.exec(raw);
  if (head === null) return null;
  let value = '';
  let at = head[0].length;
  while (at < raw.length) {
    const part = shellPart(raw, at);
    if (part === null) return null;
    if (part.end === at) break;
    value += part.value;
    at = part.end;
  }
  return /^(?:[ \t]+(?:#.*)?)?$/.test(raw.slice(at)) ? value : null;
}

interface Part {
  readonly value: string;
  readonly end: number;
}

/** One part of a shell word; of no length at the word's end; null for what is no constant. */
function shellPart(raw: string, at: number): Part | null {
  const character = raw[at] ?? '';
  if (character === "'") {
    const close = raw.indexOf("'", at + 1);
    return close === -1 ? null : { value: raw.slice(at + 1, close), end: close + 1 };
  }
  if (character === '"') return shellDoubleQuoted(raw, at + 1);
  if (character === '\\') {
    const escaped = raw[at + 1] ?? '\\';
    return { value: escaped === '\n' ? '' : escaped, end: at + 2 };
  }
  if (character === '~' && /[=:]/.test(raw[at - 1] ?? '')) return null;
  if (SHELL_ACTIVE.test(character)) return null;
  return /[ \t]/.test(character) ? { value: '', end: at } : { value: character, end: at + 1 };
}

function shellDoubleQuoted(raw: string, start: number): Part | null {
  let value = '';
  for (let at = start; at < raw.length; at += 1) {
    const character = raw[at] ?? '';
    if (character === '"') return { value, end: at + 1 };
    if (character === '$' || character === '`') return null;
    if (character !== '\\') {
      value += character;
      continue;
    }
    at += 1;
    const escaped = raw[at] ?? '';
    if (escaped !== '\n') value += '"\\`$'.includes(escaped) ? escaped : `\\${escaped}`;
  }
  return null;
}

/** Bare characters that make a shell do something. A line end inside the raw text is one as well. */
const SHELL_ACTIVE = /[$`;&|<>()\r\n]/;

/**
 * YaST's sysconfig editor (its sysedit.agent for the ini agent): greedy quotes, nothing unescaped, lines of a broken
 * value joined by blanks.
 */
export function readAsYast(raw: string): string | null {
  const lines = raw.split('\n');
  const logical: string[] = [];
  for (const line of lines) {
    const last = logical.at(-1);
    if (last?.endsWith('\\') === true) logical[logical.length - 1] = `${last}\n${line}`;
    else logical.push(line);
  }
  const [first = '', ...rest] = logical;
  const whole = YAST_DOUBLE.exec(first) ?? YAST_BARE.exec(first) ?? YAST_SINGLE.exec(first);
  if (whole !== null) return whole[1] ?? '';
  const begun = YAST_BROKEN.exec(first);
  if (begun === null) return null;
  let value = begun[1] ?? '';
  for (const line of rest) {
    const end = /^([^"]*)"/.exec(line);
    if (end !== null) return `${value} ${end[1] ?? ''}`;
    value += ` ${line}`;
  }
  return null;
}

const YAST_DOUBLE = /^[ \t]*[a-zA-Z0-9_]+[ \t]*=[ \t]*"(.*)"/s;
const YAST_BARE = /^[ \t]*[a-zA-Z0-9_]+[ \t]*=[ \t]*([^"']*[^ \t"]|)[ \t]*$/s;
const YAST_SINGLE = /^[ \t]*[a-zA-Z0-9_]+[ \t]*=[ \t]*'(.*)'/s;
const YAST_BROKEN = /^[ \t]*[a-zA-Z0-9_]+[ \t]*=[ \t]*"(.*)/s;

/** fillup keeps what stands on the assignment's first line with its variable; lines below become somebody's comment. */
export function readAsFillup(raw: string, systemdValue: string): string | null {
  return /[\r\n]/.test(raw) ? null : systemdValue;
}
