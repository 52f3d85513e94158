import { InternalError, InvalidArgumentError } from '../../base/errors.ts';
import { effectiveVariables, isVariableName, readDocument, type SysconfigDocument } from './document.ts';
import { quoteValue } from './quoting.ts';
import { scan, type AnySegment, type AssignmentSegment } from './scanner.ts';

/** What to do with each variable: its new value, or null to unset it. */
export type SysconfigChanges = ReadonlyMap<string, string | null>;

/**
 * The file with the changes in it and everything else as it was, byte by byte: comments, order, metadata, line ends,
 * the missing newline at the end. A variable keeps its place and its kind of quotes; one that is new stands below the
 * comment that holds its name (`#NAME=…`), else at the end. A comment behind a value, which systemd took for the value,
 * moves to a line of its own. Unsetting leaves `NAME=""` where a comment describes the variable, so that its metadata
 * does not fall to the next one and fillup does not bring it back; else the line goes.
 *
 * A change to the value that is there already changes nothing. Throws InvalidArgumentError for names and values that
 * cannot be written, and for a file that must be mended by hand first: one that systemd refuses, or with a quote that is
 * never closed, for then nobody knows where the value ends.
 */
export function editSysconfig(content: Uint8Array, changes: SysconfigChanges): Buffer {
  const document = readDocument(content);
  refuseUnsound(document);
  let text = document.text;
  for (const [name, value] of changes) {
    if (!isVariableName(name)) throw new InvalidArgumentError(`${name} is no name of a variable`);
    text = value === null ? unset(text, name) : set(text, name, value);
  }
  const edited = Buffer.from(text, 'latin1');
  verify(document, readDocument(edited), changes);
  return edited;
}

/** Throws InvalidArgumentError for a file that must be mended by hand before a program may write to it. */
export function refuseUnsound(document: SysconfigDocument): void {
  if (document.refusal !== null) {
    throw new InvalidArgumentError(
      `systemd refuses the file for what is on line ${String(document.refusal.line)}: mend it by hand first`,
    );
  }
  const open = document.segments.find((segment) => segment.kind === 'assignment' && segment.openQuote !== null);
  if (open !== undefined) {
    throw new InvalidArgumentError(`a quote on line ${String(open.line)} is never closed: mend it by hand first`);
  }
}

function set(text: string, name: string, value: string): string {
  const segments = scan(text);
  const assignment = assignmentsOf(segments, name).at(-1);
  if (assignment === undefined)
    return insert(text, segments, name, `${name}=${encode(quoteValue(name, value, 'double'))}`);
  if (assignment.value === encode(value)) return text;
  return replaceValue(text, assignment, quoteValue(name, value, assignment.quoting));
}

function replaceValue(text: string, assignment: AssignmentSegment, right: string): string {
  const { start, end, textEnd, name } = assignment;
  const raw = text.slice(start, textEnd);
  const indentation = /^[ \t]*/.exec(raw)?.[0] ?? '';
  const comment = strayComment(assignment, text.slice(assignment.valueStart, textEnd));
  const moved = comment === '' ? '' : `${indentation}# ${comment}${lineEndOf(text)}`;
  return `${text.slice(0, start)}${moved}${indentation}${name}=${encode(right)}${text.slice(textEnd, end)}${text.slice(end)}`;
}

/** `# text` behind the value, meant as a comment; '' for none. */
function strayComment({ quoting, hasTextAfterQuote }: AssignmentSegment, rawValue: string): string {
  const match = hasTextAfterQuote
    ? /["'][ \t]+#+[ \t]*([^\r\n"']*)$/.exec(rawValue)
    : quoting === 'none'
      ? /[ \t]#+[ \t]*([^\r\n]*)/.exec(rawValue)
      : null;
  // A backslash at its end would draw the assignment into the comment.
  return (match?.[1] ?? '').trim().replace(/[\\ \t]+$/, '');
}

function insert(text: string, segments: readonly AnySegment[], name: string, line: string): string {
  const commented = new RegExp(`^[ \\t]*#[ \\t]?${name}=`);
  const place = segments.findLast(
    ({ kind, start, textEnd, end }) =>
      kind === 'comment' && end > textEnd && commented.test(text.slice(start, textEnd)) && text[textEnd - 1] !== '\\',
  );
  const lineEnd = lineEndOf(text);
  if (place !== undefined) return `${text.slice(0, place.end)}${line}${lineEnd}${text.slice(place.end)}`;
  const isEnded = text === '' || /[\r\n]$/.test(text);
  // The empty line keeps comments of the variable before away, and ends a comment that ends in a backslash.
  const gap = text === '' || segments.at(-1)?.kind === 'blank' ? '' : lineEnd;
  return `${text}${isEnded ? '' : lineEnd}${gap}${line}${lineEnd}`;
}

function unset(text: string, name: string): string {
  let result = text;
  for (;;) {
    const segments = scan(result);
    const index = segments.findIndex(
      (segment) =>
        segment.kind === 'assignment' &&
        segment.name === name &&
        (segment.value !== '' || !isDescribed(segments, segments.indexOf(segment))),
    );
    const segment = segments[index];
    if (segment?.kind !== 'assignment') return result;
    result = isDescribed(segments, index)
      ? replaceValue(result, segment, quoteValue(name, '', segment.quoting))
      : result.slice(0, segment.start) + result.slice(segment.end);
  }
}

/** A comment stands between the assignment and the one before it. */
function isDescribed(segments: readonly AnySegment[], index: number): boolean {
  const before = segments.slice(0, index);
  return before
    .slice(before.findLastIndex(({ kind }) => kind === 'assignment') + 1)
    .some(({ kind }) => kind === 'comment');
}

function assignmentsOf(segments: readonly AnySegment[], name: string): readonly AssignmentSegment[] {
  return segments.filter(
    (segment): segment is AssignmentSegment => segment.kind === 'assignment' && segment.name === name,
  );
}

/** The edit's own proof: the changes are in force, and no other variable has changed. */
export function verify(before: SysconfigDocument, after: SysconfigDocument, changes: SysconfigChanges): void {
  const wanted = new Map([...effectiveVariables(before)].map(([name, { value }]) => [name, value]));
  for (const [name, value] of changes) wanted.set(name, value ?? '');
  const found = new Map([...effectiveVariables(after)].map(([name, { value }]) => [name, value]));
  for (const name of new Set([...wanted.keys(), ...found.keys()])) {
    if ((wanted.get(name) ?? '') !== (found.get(name) ?? '')) {
      throw new InternalError(`editing the file would give ${name} the wrong value; nothing was written`);
    }
  }
}

/** The file's own kind of line end. */
export function lineEndOf(text: string): string {
  return /\r\n|\n|\r/.exec(text)?.[0] ?? '\n';
}

function encode(value: string): string {
  return Buffer.from(value, 'utf8').toString('latin1');
}
