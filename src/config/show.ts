/** `moored config show`: what is set, by whom, what it overrides, and whether a reload applies it. */
import type { Config } from './config.ts';
import { maskedProxy } from './masked.ts';
import { nameOf, type OptionDefinition, type OptionValue } from './options.ts';
import { formatOrigin, formatProblem, type ConfigProblem, type Origin } from './origin.ts';

/** One option for machines, as `--json` and the D-Bus interface show it. Passwords in URLs are masked. */
export interface ShownSetting {
  /** Key in daemon.json, else the flag. */
  readonly key: string;
  readonly flag: string;
  readonly value: OptionValue;
  readonly default: OptionValue;
  readonly origin: Origin;
  /** More than one where a list or map grew. */
  readonly origins: readonly Origin[];
  readonly overridden: readonly { readonly value: OptionValue; readonly origin: Origin }[];
  readonly reload: 'live' | 'restart';
  /** The typed variable of the sysconfig file; null when there is none. */
  readonly variable: string | null;
  /** moored's own, unknown to dockerd. */
  readonly own: boolean;
}

/** Every option; the order is that of the keys. */
export function shownSettings(config: Config): readonly ShownSetting[] {
  return config.settings
    .map(({ option, value, origin, origins, overridden }) => ({
      key: nameOf(option),
      flag: option.flag,
      value: masked(option, value),
      default: option.fallback,
      origin: maskedOrigin(option, origin),
      origins: origins.map((one) => maskedOrigin(option, one)),
      overridden: overridden.map((lost) => ({
        value: masked(option, lost.value),
        origin: maskedOrigin(option, lost.origin),
      })),
      reload: option.live === true ? ('live' as const) : ('restart' as const),
      variable: option.variable ?? null,
      own: option.own === true,
    }))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
}

/** `--json`: all options, whatever `--all` says. */
export function showAsJson(config: Config, problems: readonly ConfigProblem[]): string {
  const { configFile, sysconfigFile } = config;
  return `${JSON.stringify({ configFile, sysconfigFile, settings: shownSettings(config), problems }, null, 2)}\n`;
}

/** A table of what is set anywhere (`all`: of everything), and below it what is odd. */
export function showAsTable(config: Config, problems: readonly ConfigProblem[], all: boolean): string {
  const shown = shownSettings(config).filter(({ origin }) => all || origin.layer !== 'default');
  const rows = shown.map(({ key, value, origins, overridden, reload }) => [
    key,
    valueText(value),
    [...new Set(origins.map(formatOrigin))].join(', '),
    overridden.map((lost) => `${valueText(lost.value)} (${formatOrigin(lost.origin)})`).join(', '),
    reload,
  ]);
  const lines = alignColumns([['KEY', 'VALUE', 'ORIGIN', 'OVERRIDES', 'RELOAD'], ...rows]);
  const notes = problems.map((problem) => `${problem.severity}: ${formatProblem(problem)}`);
  return [...lines, ...(notes.length === 0 ? [] : ['', ...notes]), ''].join('\n');
}

/** The value as it may be shown and logged: passwords of proxies masked. */
export function masked(option: OptionDefinition, value: OptionValue): OptionValue {
  return mayHoldPassword(option) && typeof value === 'string' ? maskedProxy(value) : value;
}

function maskedOrigin(option: OptionDefinition, origin: Origin): Origin {
  return mayHoldPassword(option) ? { ...origin, text: maskedProxy(origin.text) } : origin;
}

/** URLs, which may hold a password. */
export function mayHoldPassword({ flag }: OptionDefinition): boolean {
  return flag === 'http-proxy' || flag === 'https-proxy';
}

function valueText(value: OptionValue): string {
  if (typeof value !== 'object') return value === '' ? '""' : String(value);
  if (Array.isArray(value)) return `[${value.join(' ')}]`;
  return `{${Object.entries(value)
    .map(([name, text]) => `${name}=${text}`)
    .join(' ')}}`;
}

function alignColumns(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('   ')
      .trimEnd(),
  );
}
