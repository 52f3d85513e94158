/**
 * Cursors of log lines as clients get them:
 *
 *   c…      the log driver's own
 *   tNS+N   with drivers that have none: the time of the last line, and how many lines of that time were read
 */
import type { Timestamp } from '../../../base/clock.ts';
import { InvalidArgumentError } from '../../../base/errors.ts';
import type { LogRecord, LogsOptions } from '../../../engine/index.ts';

interface Passed {
  readonly time: bigint;
  count: number;
}

/** What to ask the engine for, to go on after a cursor. InvalidArgumentError when it is none. */
export function afterCursor(cursor: string | undefined): Partial<Pick<LogsOptions, 'after' | 'since'>> {
  if (cursor === undefined || cursor === '') return {};
  if (cursor.startsWith('c')) return { after: cursor.slice(1) };
  return { since: passedOf(cursor).time as Timestamp };
}

/** Leaves out what lies before a cursor by time; to be asked once for each record, in order. */
export function recordsAfter(cursor: string | undefined): (record: LogRecord) => boolean {
  if (cursor?.startsWith('t') !== true) return () => true;
  const { time, count } = passedOf(cursor);
  let left = count;
  return (record) => record.time !== time || left-- <= 0;
}

/** Makes the cursor of the last line that passed. */
export class CursorMaker {
  #text: string;
  #passed: Passed | null;

  constructor(given: string) {
    this.#text = given;
    this.#passed = given.startsWith('t') ? passedOf(given) : null;
  }

  get text(): string {
    return this.#text;
  }

  pass(record: LogRecord): void {
    if (record.cursor !== undefined) {
      this.#text = `c${record.cursor}`;
      return;
    }
    const passed = this.#passed?.time === record.time ? this.#passed : { time: record.time, count: 0 };
    passed.count += 1;
    this.#passed = passed;
    this.#text = `t${String(passed.time)}+${String(passed.count)}`;
  }
}

function passedOf(cursor: string): Passed {
  const [, time, count] = /^t(\d{1,20})\+(\d{1,9})$/.exec(cursor) ?? [];
  if (time === undefined) throw new InvalidArgumentError(`invalid log cursor: ${JSON.stringify(cursor)}`);
  return { time: BigInt(time), count: Number(count) };
}
