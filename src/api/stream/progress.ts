/**
 * Progress records as Docker's `jsonmessage`: one object a line, ended by CR LF.
 *
 *   {"status":"Downloading","progressDetail":{"current":1,"total":2},"progress":"[===> …] 1B/2B","id":"0123456789ab"}
 */
import type { Progress } from '../../engine/index.ts';
import { humanSize } from '../wire/duration.ts';

const BAR_WIDTH = 50;
const SIZE_COLUMNS = 8;

/** One record as a line. */
export function progressLine(progress: Progress): string {
  return `${JSON.stringify(progressDocument(progress))}\r\n`;
}

function progressDocument({ stream, status, id, current, total }: Progress): object {
  if (stream !== undefined) return { stream };
  const isAction = id !== undefined && status !== undefined && !status.startsWith('Pulling from ');
  const hasNumbers = current !== undefined || total !== undefined;
  const bar = hasNumbers ? progressBar(current ?? 0, total ?? 0) : '';
  return {
    ...(status === undefined ? {} : { status }),
    // Docker's records of a layer always have it, its sentences never.
    ...(isAction || hasNumbers ? { progressDetail: detailOf(current ?? 0, total ?? 0) } : {}),
    ...(bar === '' ? {} : { progress: bar }),
    ...(id === undefined ? {} : { id }),
  };
}

function detailOf(current: number, total: number): object {
  return { ...(current === 0 ? {} : { current }), ...(total === 0 ? {} : { total }) };
}

/** `JSONProgress.String` at the width without a terminal; older clients print it as it is. */
export function progressBar(current: number, total: number): string {
  if (current <= 0 && total <= 0) return '';
  const done = humanSize(current).padStart(SIZE_COLUMNS);
  if (total <= 0) return done;
  const filled = Math.min(Math.trunc(Math.trunc((current / total) * 100) / 2), BAR_WIDTH);
  const bar = `[${'='.repeat(filled)}>${' '.repeat(BAR_WIDTH - filled)}] `;
  return current > total ? `${bar}${done}` : `${bar}${done}/${humanSize(total)}`;
}
