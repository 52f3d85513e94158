import type { SysconfigDocument, SysconfigVariable } from './document.ts';
import { lineProblems } from './line-traps.ts';
import type { SysconfigProblem } from './problems.ts';
import { readAsFillup, readAsShell, readAsYast } from './readers.ts';
import { typeMismatch } from './types.ts';
import { splitWords } from './words.ts';

export interface TrapOptions {
  /** Names that mean something; others are `unknown-key`. Absent: any name is fine. */
  readonly knownKeys?: readonly string[];
  /** Variables whose value is split into words (`$DOCKER_OPTS`). */
  readonly wordKeys?: readonly string[];
}

/** All that is wrong with a file, by line. */
export function findProblems(document: SysconfigDocument, options: TrapOptions): readonly SysconfigProblem[] {
  const known = options.knownKeys === undefined ? undefined : new Set(options.knownKeys);
  const words = new Set(options.wordKeys);
  return [
    ...lineProblems(document, known),
    ...document.assignments.flatMap((variable) => [
      ...variableProblems(variable, known),
      ...(words.has(variable.name) ? wordProblems(variable) : []),
    ]),
    ...duplicates(document.assignments),
  ]
    .map((problem) => softenForStrangers(problem, known))
    .sort((one, other) => one.line - other.line);
}

/** A variable that the daemon does not know cannot break it. */
function softenForStrangers(problem: SysconfigProblem, known: ReadonlySet<string> | undefined): SysconfigProblem {
  return problem.key === '' || known === undefined || known.has(problem.key)
    ? problem
    : { ...problem, severity: 'warning' };
}

function variableProblems(
  variable: SysconfigVariable,
  known: ReadonlySet<string> | undefined,
): readonly SysconfigProblem[] {
  const problems = [...quotingProblems(variable)];
  const { name: key, line, value, metadata } = variable;
  if (known !== undefined && !known.has(key)) problems.push(unknownKey(variable, known));
  const { serviceReload, serviceRestart } = metadata.actions;
  if (serviceReload.length > 0 && serviceRestart.length > 0) {
    problems.push({
      code: 'reload-and-restart',
      severity: 'warning',
      line,
      key,
      text: 'YaST reloads and restarts the service after a change, since the metadata name both',
      cure: 'Write ## ServiceRestart: "" where a reload is enough',
    });
  }
  const wanted = typeMismatch(metadata.type, value);
  if (wanted !== null) {
    problems.push({
      code: 'wrong-type',
      severity: 'error',
      line,
      key,
      text: `"${value}" is not of type ${metadata.type}`,
      cure: `Give ${wanted}, or the empty value for the default`,
    });
  }
  return problems;
}

/** What systemd and the others make of the way the value is written. The first that explains a difference is told. */
function quotingProblems(variable: SysconfigVariable): readonly SysconfigProblem[] {
  const { name: key, line, raw, value } = variable;
  if (variable.openQuote !== null) {
    return [
      {
        code: 'unclosed-quote',
        severity: 'error',
        line,
        key,
        text: `the quote ${variable.openQuote} is never closed, so that systemd takes the rest of the file as the value`,
        cure: `Close it at the end of line ${String(line)}`,
      },
    ];
  }
  const problems: SysconfigProblem[] = [];
  if (variable.endLine > line) {
    problems.push({
      code: 'multi-line',
      severity: 'warning',
      line,
      key,
      text: `the value goes on to line ${String(variable.endLine)}; fillup, run by package updates, breaks such values`,
      cure: 'Write it on one line',
    });
  }
  const asShell = readAsShell(raw);
  const told = asShell === value ? null : differenceToShell(variable);
  if (told !== null) return [...problems, told];
  const readings = [asShell, readAsYast(raw), readAsFillup(raw, value)];
  if (problems.length > 0 || readings.every((reading) => reading === value)) return problems;
  return [readDifferently(variable, readings)];
}

function differenceToShell({ name: key, line, raw, value, ...variable }: SysconfigVariable): SysconfigProblem | null {
  const shown = JSON.stringify(value);
  if (variable.hasTextAfterQuote) {
    return {
      code: 'text-after-quote',
      severity: 'error',
      line,
      key,
      text: `text behind the closing quote belongs to the value, which systemd reads as ${shown}`,
      cure: 'Put comments on a line of their own, and the whole value into one pair of quotes',
    };
  }
  if (variable.quoting === 'none' && /[ \t]#/.test(raw)) {
    return {
      code: 'trailing-comment',
      severity: 'error',
      line,
      key,
      text: `systemd knows no comments behind a value, and reads ${shown}`,
      cure: 'Put the comment on a line of its own',
    };
  }
  const written = raw.replace(/'[^']*'/g, '').replace(/\\./gs, '');
  const expansion = /\$(?:[A-Za-z_]\w*|[{(].*?[})])|`[^`]*`/s.exec(written);
  if (expansion === null) return null;
  return {
    code: 'shell-expansion',
    severity: 'error',
    line,
    key,
    text: `${expansion[0]} is not expanded: systemd runs no shell, and passes it on as it is`,
    cure: 'Write the value out; a literal one goes into single quotes',
  };
}

function readDifferently(
  { name: key, line, value }: SysconfigVariable,
  [shell, yast]: readonly (string | null | undefined)[],
): SysconfigProblem {
  const others = [
    ['a shell', shell],
    ['YaST', yast],
  ]
    .filter(([, reading]) => reading !== value)
    .map(([reader, reading]) => `${reader ?? ''} ${reading === null ? 'something else' : JSON.stringify(reading)}`);
  return {
    code: 'read-differently',
    severity: 'warning',
    line,
    key,
    text: `systemd reads ${JSON.stringify(value)}, ${others.join(', ')}`,
    cure: `Write ${key}="value" on one line, without backslashes, dollars, backquotes and double quotes inside`,
  };
}

function wordProblems({ name: key, line, value }: SysconfigVariable): readonly SysconfigProblem[] {
  const { open, words } = splitWords(value);
  if (open === null) return [];
  const what = open === '\\' ? 'the value ends in a backslash' : `the quote ${open} within the value is never closed`;
  return [
    {
      code: 'unbalanced-quotes',
      severity: 'error',
      line,
      key,
      text: `${what}; systemd passes ${JSON.stringify(words.at(-1) ?? '')} as the last argument`,
      cure: open === '\\' ? 'Take it away' : 'Close it',
    },
  ];
}

/** What distributions call ours. */
const ELSEWHERE: ReadonlyMap<string, string> = new Map([
  ['OPTIONS', 'DOCKER_OPTS'],
  ['DOCKER_STORAGE_OPTIONS', 'DOCKER_OPTS'],
]);

function unknownKey({ name: key, line }: SysconfigVariable, known: ReadonlySet<string>): SysconfigProblem {
  const near = ELSEWHERE.get(key) ?? [...known].find((name) => distance(name, key) <= 2);
  return {
    code: 'unknown-key',
    severity: 'warning',
    line,
    key,
    text: 'no variable of this name means anything to the daemon',
    cure: near === undefined ? 'Check the name' : `Perhaps ${near} is meant`,
  };
}

function duplicates(assignments: readonly SysconfigVariable[]): readonly SysconfigProblem[] {
  const last = new Map(assignments.map((variable) => [variable.name, variable]));
  return assignments
    .filter((variable) => last.get(variable.name) !== variable)
    .map(({ name: key, line }) => ({
      code: 'duplicate',
      severity: 'warning',
      line,
      key,
      text: `line ${String(last.get(key)?.line ?? 0)} assigns it again, and wins`,
      cure: 'Keep one of the two',
    }));
}

/** Levenshtein's, for names that are short. */
function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (const [index, character] of [...one].entries()) {
    const next = [index + 1];
    for (const [column, otherCharacter] of [...other].entries()) {
      const kept = (row[column] ?? 0) + (character === otherCharacter ? 0 : 1);
      next.push(Math.min(kept, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
