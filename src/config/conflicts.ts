import type { Assignment } from './assignment.ts';
import { ConfigError, errorProblem } from './config-error.ts';
import type { FileLayer } from './daemon-json.ts';
import { nameOf, OPTIONS, type OptionValue } from './options.ts';
import { formatOrigin } from './origin.ts';

/**
 * dockerd's rule: what a flag says must not be in the file as well, whatever the values; only runtimes are merged. Throws
 * ConfigError with dockerd's text.
 */
export function refuseConflicts(path: string, layer: FileLayer, flags: readonly Assignment[]): void {
  const given = new Map<string, Assignment[]>();
  for (const flag of flags) given.set(flag.option.flag, [...(given.get(flag.option.flag) ?? []), flag]);
  const both = OPTIONS.filter(({ flag }) => flag !== 'add-runtime' && given.has(flag) && layer.entries.has(flag));
  if (both.length === 0) return;
  const texts: string[] = [];
  const problems = [];
  for (const option of both) {
    const said = given.get(option.flag) ?? [];
    const entry = layer.entries.get(option.flag);
    const name = entry?.key ?? nameOf(option);
    texts.push(`${name}: (from flag: ${goText(valueOf(said))}, from file: ${goText(entry?.json)})`);
    const places = [...new Set(said.map(({ origin }) => formatOrigin(origin)))].join(', ');
    problems.push(
      errorProblem(`specified as a flag as well (${places})`, {
        file: entry?.file ?? path,
        line: entry?.line ?? null,
        subject: name,
        cure: 'Remove one of the two, or set config-conflicts to flag-wins or file-wins',
      }),
    );
  }
  const text = 'the following directives are specified both as a flag and in the configuration file';
  throw new ConfigError(
    `unable to configure the Docker daemon with file ${path}: ${text}: ${texts.join(', ')}`,
    problems,
  );
}

function valueOf(said: readonly Assignment[]): OptionValue | undefined {
  const last = said.at(-1);
  if (last === undefined) return undefined;
  if (last.option.type === 'list') return said.flatMap(({ value }) => value as readonly string[]);
  if (last.option.type === 'map') return Object.assign({}, ...said.map(({ value }) => value)) as Record<string, string>;
  return last.value;
}

/** As Go prints a value with %v. */
function goText(value: unknown): string {
  if (value === null || value === undefined) return '<nil>';
  if (Array.isArray(value)) return `[${value.map(goText).join(' ')}]`;
  if (typeof value === 'object') {
    const entries = Object.entries(value as Record<string, unknown>).sort(([a], [b]) => (a < b ? -1 : 1));
    return `map[${entries.map(([key, entry]) => `${key}:${goText(entry)}`).join(' ')}]`;
  }
  if (typeof value === 'number') return goNumber(value);
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Numbers of a file are float64 in Go, which writes them with an exponent from a million on, as 1.5e+06. */
function goNumber(value: number): string {
  if (Math.abs(value) < 1e6) return String(value);
  return value.toExponential().replace(/e\+(\d)$/, 'e+0$1');
}
