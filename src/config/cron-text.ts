/** Fields of a cron expression: least and greatest number, and names that stand for numbers. */
const FIELDS = [
  { name: 'minute', least: 0, greatest: 59, names: '' },
  { name: 'hour', least: 0, greatest: 23, names: '' },
  { name: 'day of month', least: 1, greatest: 31, names: '' },
  {
    name: 'month',
    least: 1,
    greatest: 12,
    names: 'january february march april may june july august september october november december',
  },
  { name: 'day of week', least: 0, greatest: 7, names: 'sunday monday tuesday wednesday thursday friday saturday' },
] as const;

const SECOND = { name: 'second', least: 0, greatest: 59, names: '' } as const;

/** Short names of common expressions, as in crontab(5). */
const CRON_MACROS: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
};

/** Why a text is no schedule: five fields (six with seconds in front) or a macro. Null when it is one. */
export function checkCron(text: string): string | null {
  const expression = CRON_MACROS[text.trim()] ?? text.trim();
  if (expression.startsWith('@')) return `invalid schedule "${text}": use ${Object.keys(CRON_MACROS).join(', ')}`;
  const parts = expression.split(/\s+/);
  if (parts.length !== 5 && parts.length !== 6) {
    return `invalid schedule "${text}": it has ${String(parts.length)} fields in place of 5 (minute hour day month weekday)`;
  }
  const fields = parts.length === 6 ? [SECOND, ...FIELDS] : FIELDS;
  for (const [index, field] of fields.entries()) {
    const part = parts[index] ?? '';
    const isAnyDay = part === '?' && field.name.startsWith('day');
    if (!isAnyDay && !part.split(',').every((item) => isItem(item, field))) {
      return `invalid schedule "${text}": "${part}" is no ${field.name}`;
    }
  }
  return isImpossible(parts.at(-3) ?? '', parts.at(-2) ?? '')
    ? `invalid schedule "${text}": no such month has such a day`
    : null;
}

/** 30 February and its like. Ranges and stars leave some day that is. */
function isImpossible(days: string, months: string): boolean {
  if (!/^[\d,]+$/.test(days)) return false;
  const longest = months.split(',').map((month) => LENGTHS[(numberOf(month, MONTH) ?? 1) - 1] ?? LONGEST);
  return Math.min(...days.split(',').map(Number)) > Math.max(...longest);
}

const MONTH = FIELDS[3];
const LONGEST = 31;
const LENGTHS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** A star, `5`, `1-5`, `mon-fri`; stars and ranges with a step: `0-30/10`. */
function isItem(item: string, field: (typeof FIELDS)[number] | typeof SECOND): boolean {
  const [, range = '', step] = /^([^/]+)(?:\/(\d+))?$/.exec(item) ?? [];
  if (step !== undefined && Number(step) === 0) return false;
  if (range === '*') return true;
  // The last day of the month.
  if (item === 'L') return field.name === 'day of month';
  const [first = '', last, ...more] = range.split('-');
  const from = numberOf(first, field);
  if (from === null || more.length > 0) return false;
  if (last === undefined) return step === undefined;
  // A range may go round: fri-mon.
  return numberOf(last, field) !== null;
}

function numberOf(text: string, { least, greatest, names }: (typeof FIELDS)[number] | typeof SECOND): number | null {
  const lower = text.toLowerCase();
  const named = names.split(' ').findIndex((name) => name !== '' && (name === lower || name.slice(0, 3) === lower));
  if (named !== -1) return named + least;
  const number = /^\d+$/.test(text) ? Number(text) : -1;
  return number >= least && number <= greatest ? number : null;
}
