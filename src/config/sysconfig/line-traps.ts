import { isVariableName, type SysconfigDocument } from './document.ts';
import { decodeBytes } from './metadata.ts';
import type { SysconfigProblem } from './problems.ts';
import type { AnySegment } from './scanner.ts';

/** What is wrong with lines that assign nothing, and with the file as a whole. */
export function lineProblems(
  document: SysconfigDocument,
  known: ReadonlySet<string> | undefined,
): readonly SysconfigProblem[] {
  const assigned = new Set(document.assignments.map(({ name }) => name));
  return [
    ...fileProblems(document),
    ...document.segments.flatMap((segment, index) => {
      if (segment.start === 0 && document.text.startsWith(BYTE_ORDER_MARK)) return [];
      const text = decodeBytes(document.text.slice(segment.start, segment.textEnd)).trim();
      if (segment.kind === 'comment') {
        return [
          ...commentedKey(text, segment, assigned, known),
          ...continuedComment(text, segment, document.segments[index + 1]),
        ];
      }
      if (segment.kind === 'junk') return [notAnAssignment(text, segment)];
      return segment.kind === 'assignment' && !isVariableName(segment.name) ? [badName(text, segment)] : [];
    }),
  ];
}

/** Its UTF-8 bytes, one character each. */
const BYTE_ORDER_MARK = '\u00ef\u00bb\u00bf';

function fileProblems({ text, refusal }: SysconfigDocument): readonly SysconfigProblem[] {
  const problems: SysconfigProblem[] = [];
  if (refusal !== null) {
    const what = refusal.code === 'nul-byte' ? 'a NUL byte' : 'bytes that are not UTF-8 in a variable';
    problems.push({
      code: refusal.code,
      severity: 'error',
      line: refusal.line,
      key: '',
      text: `${what}: systemd refuses the whole file`,
      cure: refusal.code === 'nul-byte' ? 'Take it away' : 'Save the file as UTF-8',
    });
  }
  if (text.startsWith(BYTE_ORDER_MARK)) {
    problems.push({
      code: 'byte-order-mark',
      severity: 'error',
      line: 1,
      key: '',
      text: 'a byte order mark hides what stands on the first line',
      cure: 'Save the file as UTF-8 without it',
    });
  }
  const crlf = text.indexOf('\r\n');
  if (crlf !== -1) {
    problems.push({
      code: 'crlf',
      severity: 'warning',
      line: text.slice(0, crlf).split('\n').length,
      key: '',
      text: 'lines end in CR LF: a shell and YaST take the CR into the value',
      cure: "Take the carriage returns away (sed -i 's/\\r$//')",
    });
  }
  return problems;
}

function commentedKey(
  text: string,
  { line }: AnySegment,
  assigned: ReadonlySet<string>,
  known: ReadonlySet<string> | undefined,
): readonly SysconfigProblem[] {
  const match = /^#[ \t]?([A-Z_][A-Z0-9_]*)=/.exec(text);
  const key = match?.[1];
  if (key === undefined || assigned.has(key) || (known !== undefined && !known.has(key))) return [];
  return [
    {
      code: 'commented-key',
      severity: 'warning',
      line,
      key,
      text: 'it is commented out: fillup, run by package updates, puts the empty variable of its template there',
      cure: `Write ${key}="" in place of the comment`,
    },
  ];
}

/** Before version 254 systemd read on in the comment behind a backslash at its end. */
function continuedComment(
  text: string,
  { line }: AnySegment,
  next: AnySegment | undefined,
): readonly SysconfigProblem[] {
  const backslashes = /\\*$/.exec(text)?.[0].length ?? 0;
  if (backslashes % 2 === 0 || next?.kind !== 'assignment') return [];
  return [
    {
      code: 'comment-continuation',
      severity: 'error',
      line: next.line,
      key: next.name,
      text: `the comment on line ${String(line)} ends in a backslash: systemd before 254 reads this line as comment too`,
      cure: 'Take the backslash away',
    },
  ];
}

function badName(text: string, segment: AnySegment & { readonly kind: 'assignment' }): SysconfigProblem {
  const { line } = segment;
  const exported = /^(?:export|declare|typeset|local|readonly)[ \t]+(?:-\w+[ \t]+)*([A-Za-z_]\w*)$/.exec(segment.name);
  if (exported !== null) {
    return {
      code: 'export',
      severity: 'error',
      line,
      key: exported[1] ?? '',
      text: `systemd takes "${decodeBytes(segment.name)}" for the name, and drops the line`,
      cure: `Write ${exported[1] ?? ''}= alone`,
    };
  }
  if (/[ \t[\](){};$"']/.test(segment.name)) return notAnAssignment(text, segment);
  return {
    code: 'invalid-name',
    severity: 'warning',
    line,
    key: '',
    text: `"${decodeBytes(segment.name)}" is no name of a variable; systemd drops the line`,
    cure: 'Letters, digits and underscores only, no digit first',
  };
}

function notAnAssignment(text: string, { line }: AnySegment): SysconfigProblem {
  const [first = ''] = text.split(/\r\n|[\r\n]/);
  return {
    code: 'shell-code',
    severity: 'warning',
    line,
    key: '',
    text: `"${first}" is no assignment: systemd runs no shell, skips the line, and takes every assignment around it`,
    cure: 'Keep plain assignments only',
  };
}
