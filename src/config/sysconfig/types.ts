import { isIP, isIPv4, isIPv6 } from 'node:net';

/**
 * Checks a value against a metadata Type: string, string(a,b), list(a,b), integer, integer(min:max), boolean, yesno, ip,
 * ip4, ip6, regexp(ERE). Returns what it should have been, or null when it fits. The empty value means "not set" and
 * fits every type.
 */
export function typeMismatch(type: string, value: string): string | null {
  if (value === '') return null;
  const [, name = '', , details = ''] = /^\s*([a-z0-9]+)\s*(\((.*)\))?\s*$/s.exec(type) ?? [];
  switch (name) {
    case 'string':
      return null;
    case 'list':
      return choicesOf(details).includes(value) ? null : `one of ${choicesOf(details).join(', ')}`;
    case 'integer':
      return integerMismatch(details, value);
    case 'boolean':
      return /^(true|false)$/.test(value) ? null : 'true or false';
    case 'yesno':
      return /^(yes|no)$/.test(value) ? null : 'yes or no';
    case 'ip':
      return isIP(value) === 0 ? 'an IP address' : null;
    case 'ip4':
      return isIPv4(value) ? null : 'an IPv4 address';
    case 'ip6':
      return isIPv6(value) ? null : 'an IPv6 address';
    case 'regexp':
      return regexpMismatch(details, value);
    default:
      return null;
  }
}

/** The values of `list(a,b)` and `string(a,b)`; empty for other types. */
export function choicesOfType(type: string): readonly string[] {
  const match = /^\s*(?:list|string)\s*\((.*)\)\s*$/s.exec(type);
  return match === null ? [] : choicesOf(match[1] ?? '');
}

/** Comma-separated; what holds commas or blanks is in double quotes. */
function choicesOf(details: string): readonly string[] {
  return [...details.matchAll(/\s*(?:"([^"]*)"|([^,]*?))\s*(?:,|$)/g)]
    .filter((match) => match[0] !== '')
    .map((match) => match[1] ?? match[2] ?? '');
}

function integerMismatch(details: string, value: string): string | null {
  if (!/^-?\d+$/.test(value)) return 'an integer';
  const [low = '', high = ''] = details.split(':').map((limit) => limit.trim());
  const number = BigInt(value);
  const isTooLow = /^-?\d+$/.test(low) && number < BigInt(low);
  const isTooHigh = /^-?\d+$/.test(high) && number > BigInt(high);
  if (!isTooLow && !isTooHigh) return null;
  return high === '' ? `at least ${low}` : low === '' ? `at most ${high}` : `from ${low} to ${high}`;
}

function regexpMismatch(expression: string, value: string): string | null {
  const pattern = compileExtended(expression);
  return pattern === null || pattern.test(value) ? null : `a match of ${expression}`;
}

/** A POSIX extended regular expression in JavaScript's dialect; null when it is none. */
function compileExtended(expression: string): RegExp | null {
  const translated = expression.replace(/\[:([a-z]+):\]/g, (whole, name: string) => CHARACTER_CLASSES[name] ?? whole);
  try {
    return new RegExp(translated, 's');
  } catch {
    return null;
  }
}

const CHARACTER_CLASSES: Readonly<Record<string, string>> = {
  alpha: 'A-Za-z',
  digit: '0-9',
  alnum: 'A-Za-z0-9',
  upper: 'A-Z',
  lower: 'a-z',
  space: String.raw`\s`,
  blank: String.raw` \t`,
  punct: String.raw`!-\/:-@\[-\`{-~`,
  xdigit: '0-9A-Fa-f',
};
