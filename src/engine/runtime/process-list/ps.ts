/** What dockerd makes of the arguments and the output of `ps`. Pure. */
import { InternalError, InvalidArgumentError } from '../../../base/errors.ts';
import type { ProcessTable } from './table.ts';

/** A column that is called PID and is not the pid would show other containers' processes: dockerd's own check. */
const RENAMED_COLUMN = /\s+([^\s]*)=\s*(PID[^\s]*)/g;
/** Threads of the process above. */
const THREAD = '-';

/** InvalidArgumentError in dockerd's words. */
export function checkPsArguments(text: string): void {
  for (const [, column = '', title = ''] of text.matchAll(RENAMED_COLUMN)) {
    if (column !== 'pid') throw new InvalidArgumentError(`specifying "${column}=${title}" is not allowed`);
  }
}

/** The rows of these processes; the last column keeps its spaces. */
export function parsePsOutput(output: string, pids: ReadonlySet<number>): ProcessTable {
  const [head = '', ...lines] = output.split('\n');
  const titles = wordsOf(head);
  const pidColumn = titles.lastIndexOf('PID');
  if (pidColumn < 0) throw new InternalError("Couldn't find PID field in ps output");
  const rows: (readonly string[])[] = [];
  let isOurs = false;
  for (const line of lines) {
    const words = wordsOf(line);
    if (words.length === 0) continue;
    const pid = words[pidColumn] ?? '';
    if (pid !== THREAD) {
      if (!/^\d+$/.test(pid)) {
        throw new InternalError(`Unexpected pid '${pid}': strconv.Atoi: parsing "${pid}": invalid syntax`);
      }
      isOurs = pids.has(Number(pid));
    }
    if (isOurs) rows.push([...words.slice(0, titles.length - 1), words.slice(titles.length - 1).join(' ')]);
  }
  return { titles, rows };
}

function wordsOf(line: string): readonly string[] {
  return line.split(/[\t\n\f\r ]+/).filter((word) => word !== '');
}
