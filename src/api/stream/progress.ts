/**
 * Progress records as Docker's `jsonmessage`: one object a line, ended by CR LF.
 *
 *   {"status":"Downloading","progressDetail":{"current":1,"total":2},"progress":"[===\u003e …] 1B/2B","id":"0123456789ab"}
 */
import type { Progress } from '../../engine/index.ts';
import { humanSize } from '../../base/byte-size.ts';

const BAR_WIDTH = 50;
const SIZE_COLUMNS = 8;

/** One record as a line. */
export function progressLine(progress: Progress): string {
  return jsonLine(progressDocument(progress));
}

/** A line of a progress stream. Its writer in dockerd is Go's `json.Marshal`, which escapes what is special in HTML. */
export function jsonLine(value: object): string {
  const text = JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, escaped);
  return `${text}\r\n`;
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function progressDocument({ stream, status, id, current, total, pushed }: Progress): object {
  if (stream !== undefined) return { stream };
  if (pushed !== undefined) {
    const { tag, digest, sizeBytes } = pushed;
    return { progressDetail: {}, aux: { Tag: tag, Digest: digest, Size: sizeBytes } };
  }
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
