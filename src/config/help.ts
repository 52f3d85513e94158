import { flagText, START_FLAGS } from './flags.ts';
import { OPTIONS, type OptionDefinition } from './options.ts';

/** What to do instead of running: print this and exit 0. */
export class PrintAndExit extends Error {}

/** Text of `--version`. */
export function versionText(version: string): string {
  return `Docker version ${version}, build moored\n`;
}

/** Text of `--help`: every option, moored's own apart. */
export function helpText(): string {
  const start = Object.entries(START_FLAGS).map(([flag, { short, boolean, help }]): readonly [string, string] => [
    `${short === null ? '    ' : `-${short}, `}--${flag}${boolean ? '' : ' string'}`,
    help,
  ]);
  const offered = OPTIONS.filter((option) => option.own !== true && option.refused === undefined).map(row);
  return [
    '\nUsage:  moored [OPTIONS]\n        moored config show [--all] [--json] [OPTIONS]\n        moored check [--deep] [--repair] [--json] [OPTIONS]\n        moored migrate-storage --to DRIVER [--remove-old] [--json] [OPTIONS]\n',
    'A Docker-compatible container engine.\n',
    'Options:',
    ...table([...offered, ...start].sort(byFlag)),
    '',
    "moored's own options:",
    ...table(OPTIONS.filter(({ own }) => own === true).map(row)),
    '',
  ].join('\n');
}

function row(option: OptionDefinition): readonly [string, string] {
  const flag = flagText(option).padStart(option.short === undefined ? option.flag.length + 6 : 0);
  const shown = defaultText(option);
  return [`${flag}${option.type === 'boolean' ? '' : ` ${option.type}`}`, `${option.help}${shown}`];
}

function defaultText({ type, fallback }: OptionDefinition): string {
  if (type === 'boolean') return fallback ? ' (default true)' : '';
  if (type === 'string') return fallback === '' ? '' : ` (default "${fallback}")`;
  if (type === 'list') return fallback.length === 0 ? '' : ` (default [${fallback.join(',')}])`;
  if (type === 'map') return '';
  return fallback === 0 ? '' : ` (default ${String(fallback)})`;
}

function byFlag([a]: readonly [string, string], [b]: readonly [string, string]): number {
  const nameOfRow = (text: string): string => text.slice(text.indexOf('--'));
  return nameOfRow(a) < nameOfRow(b) ? -1 : 1;
}

function table(rows: readonly (readonly [string, string])[]): readonly string[] {
  const width = Math.max(...rows.map(([flag]) => flag.length)) + 3;
  return rows.map(([flag, help]) => `  ${flag.padEnd(width)}${help}`);
}
