import { Command, CommanderError, Option } from 'commander';
import { InvalidArgumentError } from '../base/errors.ts';
import { OPTIONS, type OptionDefinition, type OptionValue } from './options.ts';
import { flagText, parseFlagValue } from './values.ts';

/** What the command line said. */
export interface Flags {
  /** Options given, by flag. */
  readonly given: ReadonlyMap<string, OptionValue>;
  /** `--config-file`; null when not given, so that a missing default file is no error. */
  readonly configFile: string | null;
  readonly validateOnly: boolean;
  /** moored's own: take bridge, firewall table, namespaces and mounts of this engine away, then end. */
  readonly tearDown: boolean;
}

/** What to do instead of running: print this and exit 0. */
export class PrintAndExit extends Error {}

/**
 * Reads dockerd's command line. Throws InvalidArgumentError in dockerd's words, {@link PrintAndExit} for `--help` and
 * `--version`.
 */
export function parseFlags(argv: readonly string[], version: string): Flags {
  const given = new Map<string, OptionValue>();
  let printed = '';
  const command = new Command('moored')
    .usage('[OPTIONS]')
    .description('A Docker-compatible container engine.')
    .allowExcessArguments(true)
    .exitOverride()
    .configureOutput({ writeOut: (text) => (printed += text), writeErr: () => undefined })
    .version(`Docker version ${version}, build moored`, '-v, --version', 'Print version information and quit')
    .option('--config-file <string>', 'Daemon configuration file (default "/etc/docker/daemon.json")')
    .option('--validate', 'Validate daemon configuration and exit')
    .option('--tear-down', 'End all containers, take bridge, firewall rules and mounts of this engine away, and exit');
  for (const option of OPTIONS) command.addOption(commanderOption(option, given));
  try {
    command.parse(splitBooleans(argv), { from: 'user' });
  } catch (error) {
    throw translate(error, printed);
  }
  const [excess] = command.args;
  if (excess !== undefined) {
    throw new InvalidArgumentError(
      '"moored" accepts no arguments.\nSee \'moored --help\'.\n\nUsage:  moored [OPTIONS]',
    );
  }
  const { configFile, validate, tearDown } = command.opts<{
    configFile?: string;
    validate?: boolean;
    tearDown?: boolean;
  }>();
  return { given, configFile: configFile ?? null, validateOnly: validate === true, tearDown: tearDown === true };
}

function commanderOption(option: OptionDefinition, given: Map<string, OptionValue>): Option {
  const value = option.type === 'boolean' ? '[bool]' : `<${option.type}>`;
  const made = new Option(`${flagText(option)} ${value}`, option.help);
  return made.preset('true').argParser((text: string) => {
    given.set(option.flag, parseFlagValue(option, text, given.get(option.flag)));
    return text;
  });
}

/**
 * In Go's flags a boolean takes a value only behind `=`; commander would also take the next word. An explicit
 * `=true` keeps the two apart.
 */
function splitBooleans(argv: readonly string[]): readonly string[] {
  const booleans = new Set<string>(
    (OPTIONS as readonly OptionDefinition[])
      .filter(({ type }) => type === 'boolean')
      .flatMap(({ flag, short }) => [`--${flag}`, ...(short === undefined ? [] : [`-${short}`])]),
  );
  return argv.flatMap((word) => {
    if (booleans.has(word)) return word.startsWith('--') ? [`${word}=true`] : [word, 'true'];
    const short = /^(-[a-zA-Z])=(.*)$/s.exec(word);
    return short === null ? [word] : [short[1] ?? '', short[2] ?? ''];
  });
}

function translate(error: unknown, printed: string): unknown {
  if (!(error instanceof CommanderError)) return error;
  if (error.code === 'commander.helpDisplayed' || error.code === 'commander.version') return new PrintAndExit(printed);
  const flag = /'([^' ]+)[^']*'/.exec(error.message)?.[1] ?? '';
  const message =
    error.code === 'commander.unknownOption'
      ? flag.startsWith('--')
        ? `unknown flag: ${flag}`
        : `unknown shorthand flag: '${flag.slice(1, 2)}' in ${flag}`
      : error.code === 'commander.optionMissingArgument'
        ? `flag needs an argument: ${/(--[a-z0-9-]+)/.exec(error.message)?.[1] ?? flag}`
        : error.message;
  return new InvalidArgumentError(`${message}\nSee 'moored --help'.`);
}
