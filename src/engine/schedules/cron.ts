/** Cron expressions by node-cron's reader, and which moment comes next, by our clock. */
import { parse } from 'node-cron';
import { InvalidArgumentError, messageOf } from '../../base/errors.ts';

/** An expression that was read. */
export interface CronPattern {
  readonly seconds: readonly number[];
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly months: readonly number[];
  isDay(date: { readonly year: number; readonly month: number; readonly day: number }): boolean;
}

/** The last day of the month. */
const LAST = 'L';
const DAYS_OF_WEEK = 7;

/** InvalidArgumentError that says what is wrong. */
export function parseCron(text: string): CronPattern {
  const fields = fieldsOf(text);
  const days = new Set(fields.dayOfMonth);
  const weekdays = new Set(fields.dayOfWeek);
  const anyDay = days.size === LONGEST_MONTH;
  const anyWeekday = weekdays.size === DAYS_OF_WEEK;
  return {
    seconds: ascending(fields.second),
    minutes: ascending(fields.minute),
    hours: ascending(fields.hour),
    months: ascending(fields.month),
    isDay({ year, month, day }) {
      const isLast = day === new Date(Date.UTC(year, month, 0)).getUTCDate();
      const onDay = days.has(day) || (isLast && days.has(LAST));
      const onWeekday = weekdays.has(new Date(Date.UTC(year, month - 1, day)).getUTCDay());
      // crontab(5): when both are given, either will do.
      return anyDay || anyWeekday ? onDay && onWeekday : onDay || onWeekday;
    },
  };
}

const LONGEST_MONTH = 31;

function fieldsOf(text: string): ReturnType<typeof parse> {
  let fields: ReturnType<typeof parse>;
  try {
    fields = parse(text.trim());
  } catch (error) {
    throw new InvalidArgumentError(`invalid schedule "${text}": ${messageOf(error)}`, { cause: error });
  }
  const strange = [...fields.dayOfMonth.filter((day) => day !== LAST), ...fields.dayOfWeek].find(
    (day) => typeof day === 'string',
  );
  if (strange !== undefined) throw new InvalidArgumentError(`invalid schedule "${text}": ${strange} is not supported`);
  return fields;
}

function ascending(numbers: readonly number[]): readonly number[] {
  return [...numbers].sort((a, b) => a - b);
}
