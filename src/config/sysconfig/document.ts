import { once } from '../once.ts';
import {
  commentLines,
  createMetadataReader,
  decodeBytes,
  isAscii,
  NO_METADATA,
  type VariableMetadata,
} from './metadata.ts';
import { scan, type AnySegment, type AssignmentSegment, type Quoting } from './scanner.ts';

/** A variable as systemd gets it, and where it stands. */
export interface SysconfigVariable {
  readonly name: string;
  readonly value: string;
  /** Lines of its assignment, counted from 1; the same unless the value spans lines. */
  readonly line: number;
  readonly endLine: number;
  /** The assignment as it is written, without the line's end. */
  readonly raw: string;
  readonly quoting: Quoting;
  /** The quote that is open where the file ends. */
  readonly openQuote: '"' | "'" | null;
  readonly hasTextAfterQuote: boolean;
  readonly metadata: VariableMetadata;
}

/** The text of a file, cut up; one character a byte. */
export interface SysconfigDocument {
  readonly text: string;
  readonly segments: readonly AnySegment[];
  /** Every assignment to a legal name in the file's order, those that a later one overrides as well. */
  readonly assignments: readonly SysconfigVariable[];
  /** Why systemd takes nothing at all from the file; null when it reads it. */
  readonly refusal: Refusal | null;
}

export interface Refusal {
  readonly code: 'nul-byte' | 'invalid-utf8';
  readonly line: number;
}

export function readDocument(content: Uint8Array): SysconfigDocument {
  const text = Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString('latin1');
  const segments = scan(text);
  return { text, segments, assignments: assignmentsOf(text, segments), refusal: refusalOf(text, segments) };
}

/** What systemd makes of it: the last assignment of each name, and nothing from a file that it refuses. */
export function effectiveVariables(document: SysconfigDocument): ReadonlyMap<string, SysconfigVariable> {
  return new Map(document.refusal === null ? document.assignments.map((variable) => [variable.name, variable]) : []);
}

/** systemd's rule for the name of an environment variable; others are dropped with a warning. */
export function isVariableName(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name);
}

function assignmentsOf(text: string, segments: readonly AnySegment[]): readonly SysconfigVariable[] {
  const found: { readonly segment: AssignmentSegment; readonly before: readonly AnySegment[] }[] = [];
  let before: AnySegment[] = [];
  for (const segment of segments) {
    if (segment.kind !== 'assignment') {
      before.push(segment);
    } else if (isVariableName(segment.name)) {
      found.push({ segment, before });
      before = [];
    }
  }
  // Only editors ask for metadata; the daemon's start does without this second reading.
  const metadata = once(() => {
    const reader = createMetadataReader();
    return found.map((variable) => reader.next(commentLines(text, variable.before)));
  });
  return found.map(({ segment }, index) => variableOf(text, segment, () => metadata()[index] ?? NO_METADATA));
}

function variableOf(text: string, segment: AssignmentSegment, metadata: () => VariableMetadata): SysconfigVariable {
  const raw = text.slice(segment.start, segment.textEnd);
  return {
    name: segment.name,
    value: decodeBytes(segment.value),
    line: segment.line,
    endLine: segment.line + raw.split(/\r\n|[\r\n]/).length - 1,
    raw: decodeBytes(raw),
    quoting: segment.quoting,
    openQuote: segment.openQuote,
    hasTextAfterQuote: segment.hasTextAfterQuote,
    get metadata() {
      return metadata();
    },
  };
}

/** A NUL anywhere, or bytes that are not UTF-8 in any name or value, and the unit fails to start. */
function refusalOf(text: string, segments: readonly AnySegment[]): Refusal | null {
  const nul = text.indexOf('\0');
  if (nul !== -1) return { code: 'nul-byte', line: text.slice(0, nul).split('\n').length };
  const broken = segments.find(
    (segment): segment is AssignmentSegment => segment.kind === 'assignment' && !isUtf8(segment.name + segment.value),
  );
  return broken === undefined ? null : { code: 'invalid-utf8', line: broken.line };
}

/** systemd's notion: as everybody's, but noncharacters count as invalid too. */
function isUtf8(bytes: string): boolean {
  if (isAscii(bytes)) return true;
  const decoded = decodeStrictly(bytes);
  return decoded !== null && !NONCHARACTERS.test(decoded);
}

const NONCHARACTERS = /\p{Noncharacter_Code_Point}/u;

function decodeStrictly(bytes: string): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(bytes, 'latin1'));
  } catch {
    return null;
  }
}
