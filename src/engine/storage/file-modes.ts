import { InvalidArgumentError } from '../../base/errors.ts';

/** What a file has now. */
export interface PresentMode {
  readonly mode: number;
  readonly isDirectory: boolean;
}

/** Gives a file its new permission bits. */
export type ModeChange = (present: PresentMode) => number;

const ALL = 0o7777;
const CLAUSE = /^([ugoa]*)((?:[-+=](?:[ugo]|[rwxXst]*))+)$/;
const ACTION = /([-+=])([ugo]|[rwxXst]*)/g;
const READ = 0o444;
const WRITE = 0o222;
const EXECUTE = 0o111;
const SHIFTS = { u: 6, g: 3, o: 0 } as const;
const MASKS = { u: 0o4700, g: 0o2070, o: 0o1007 } as const;

/**
 * `--chmod`: octal (`0755`), or as chmod(1) takes it (`u=rwX,go-w`), with no umask. InvalidArgumentError in BuildKit's words.
 */
export function parseMode(text: string): ModeChange {
  if (/^[0-7]+$/.test(text)) {
    const mode = Number.parseInt(text, 8);
    if (mode <= ALL) return () => mode;
    throw invalid(text);
  }
  const changes = text.split(',').map((clause) => clauseOf(clause) ?? raise(text));
  return ({ mode, isDirectory }) =>
    changes.reduce((present, change) => change({ mode: present, isDirectory }), mode & ALL);
}

function clauseOf(clause: string): ModeChange | null {
  const [, who = '', actions = ''] = CLAUSE.exec(clause) ?? [];
  if (actions === '') return null;
  const whose = whoseBits(who);
  const steps = [...actions.matchAll(ACTION)].map(([, operator = '', what = '']): ModeChange => {
    return (present) => {
      const bits = bitsOf(what, present) & whose.mask;
      if (operator === '+') return present.mode | bits;
      if (operator === '-') return present.mode & ~bits;
      // The set-id bits of a directory stay, as in chmod(1), unless they are named.
      const kept = present.isDirectory && !what.includes('s') ? present.mode & 0o6000 : 0;
      return (present.mode & ~whose.mask) | bits | kept;
    };
  });
  return ({ mode, isDirectory }) => steps.reduce((present, step) => step({ mode: present, isDirectory }), mode);
}

function whoseBits(who: string): { readonly mask: number } {
  if (who === '' || who.includes('a')) return { mask: ALL };
  return { mask: (['u', 'g', 'o'] as const).reduce((mask, one) => (who.includes(one) ? mask | MASKS[one] : mask), 0) };
}

/** For everybody; whose they become is masked out of it. */
function bitsOf(what: string, { mode, isDirectory }: PresentMode): number {
  if (what === 'u' || what === 'g' || what === 'o') return ((mode >> SHIFTS[what]) & 7) * 0o111;
  let bits = 0;
  for (const letter of what) {
    if (letter === 'r') bits |= READ;
    else if (letter === 'w') bits |= WRITE;
    else if (letter === 'x') bits |= EXECUTE;
    else if (letter === 'X') bits |= isDirectory || (mode & EXECUTE) !== 0 ? EXECUTE : 0;
    else if (letter === 's') bits |= 0o6000;
    else bits |= 0o1000;
  }
  return bits;
}

function invalid(text: string): InvalidArgumentError {
  return new InvalidArgumentError(
    `invalid chmod parameter: '${text}'. it should be octal string and between 0 and 07777`,
  );
}

function raise(text: string): never {
  throw invalid(text);
}
