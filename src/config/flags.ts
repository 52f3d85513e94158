/**
 * dockerd's command line, by the rules of Go's pflag: `--flag=value` and `--flag value`, `-Dvalue`, `-D=value` and
 * bundles of short flags; a boolean takes a value only behind `=`; `--` ends the flags. Every word is kept, so that each
 * value can tell where it came from.
 */
import { InvalidArgumentError } from '../base/errors.ts';
import { OPTION_BY_FLAG, OPTION_BY_SHORT, type OptionDefinition } from './options.ts';

/** An option given once. */
export interface GivenFlag {
  readonly option: OptionDefinition;
  readonly value: string;
  /** The words as they were typed, for people. */
  readonly text: string;
}

/** What the command line said. */
export interface Flags {
  /** In order. */
  readonly given: readonly GivenFlag[];
  /** `--config-file`; null when not given, so that a missing default file is no error. */
  readonly configFile: string | null;
  readonly validateOnly: boolean;
  /** moored's own: take bridge, firewall table, namespaces and mounts of this engine away, then end. */
  readonly tearDown: boolean;
  /** `--help` or `--version`. */
  readonly asked: 'help' | 'version' | null;
}

/** Flags that steer the start and are no configuration. */
export const START_FLAGS = {
  'config-file': { short: null, boolean: false, help: 'Daemon configuration file (default "/etc/docker/daemon.json")' },
  help: { short: 'h', boolean: true, help: 'Print usage' },
  'tear-down': {
    short: null,
    boolean: true,
    help: 'End all containers, take bridge, firewall rules and mounts of this engine away, and exit',
  },
  validate: { short: null, boolean: true, help: 'Validate daemon configuration and exit' },
  version: { short: 'v', boolean: true, help: 'Print version information and quit' },
} as const;

type StartFlag = keyof typeof START_FLAGS;

/** Throws InvalidArgumentError in dockerd's words. */
export function parseFlags(words: readonly string[]): Flags {
  const given: GivenFlag[] = [];
  const start = new Map<StartFlag, string>();
  for (const { name, flag, value, text } of readWords(words)) {
    if (flag in START_FLAGS) {
      const startFlag = flag as StartFlag;
      if (START_FLAGS[startFlag].boolean && parseBoolean(value) === null) throw notBoolean(name, value);
      start.set(startFlag, value);
    } else {
      const option = OPTION_BY_FLAG.get(flag);
      if (option !== undefined) given.push({ option, value, text });
    }
  }
  const isOn = (flag: StartFlag): boolean => parseBoolean(start.get(flag) ?? 'false') === true;
  return {
    given,
    configFile: start.get('config-file') ?? null,
    validateOnly: isOn('validate'),
    tearDown: isOn('tear-down'),
    asked: isOn('help') ? 'help' : isOn('version') ? 'version' : null,
  };
}

/** Go's strconv.ParseBool; null for what it refuses. */
export function parseBoolean(text: string): boolean | null {
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text)) return true;
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(text)) return false;
  return null;
}

interface ReadFlag {
  /** As pflag shows it: `-D, --debug`. */
  readonly name: string;
  readonly flag: string;
  readonly value: string;
  readonly text: string;
}

function* readWords(words: readonly string[]): Generator<ReadFlag> {
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? '';
    if (word === '--') {
      if (at + 1 < words.length) throw excess();
      return;
    }
    if (!word.startsWith('-') || word === '-') throw excess();
    const next = words[at + 1];
    const found = word.startsWith('--') ? longFlag(word, next) : shortFlags(word, next);
    yield* found.flags;
    if (found.tookNext) at += 1;
  }
}

interface Found {
  readonly flags: readonly ReadFlag[];
  readonly tookNext: boolean;
}

function longFlag(word: string, next: string | undefined): Found {
  const [, flag = '', equals, inline = ''] = /^--([^=]*)(=?)(.*)$/s.exec(word) ?? [];
  if (flag === '' || flag.startsWith('-')) throw refuse(`bad flag syntax: ${word}`);
  const known = describe(flag);
  if (known === null) throw refuse(`unknown flag: --${flag}`);
  if (equals === '=') return { flags: [{ ...known, value: inline, text: word }], tookNext: false };
  if (known.boolean) return { flags: [{ ...known, value: 'true', text: word }], tookNext: false };
  if (next === undefined) throw refuse(`flag needs an argument: --${flag}`);
  return { flags: [{ ...known, value: next, text: `${word} ${next}` }], tookNext: true };
}

function shortFlags(word: string, next: string | undefined): Found {
  const flags: ReadFlag[] = [];
  for (let at = 1; at < word.length; at += 1) {
    const letter = word[at] ?? '';
    const known = describe(flagOfShort(letter));
    if (known === null) throw refuse(`unknown shorthand flag: '${letter}' in ${word}`);
    const rest = word.slice(at + 1);
    if (rest.startsWith('=')) {
      return { flags: [...flags, { ...known, value: rest.slice(1), text: `-${letter}${rest}` }], tookNext: false };
    }
    if (known.boolean) flags.push({ ...known, value: 'true', text: `-${letter}` });
    else if (rest !== '')
      return { flags: [...flags, { ...known, value: rest, text: `-${letter}${rest}` }], tookNext: false };
    else if (next === undefined) throw refuse(`flag needs an argument: '${letter}' in ${word}`);
    else return { flags: [...flags, { ...known, value: next, text: `-${letter} ${next}` }], tookNext: true };
  }
  return { flags, tookNext: false };
}

function flagOfShort(letter: string): string {
  const start = Object.entries(START_FLAGS).find(([, { short }]) => short === letter)?.[0];
  return start ?? OPTION_BY_SHORT.get(letter)?.flag ?? '';
}

function describe(flag: string): { readonly name: string; readonly flag: string; readonly boolean: boolean } | null {
  if (Object.hasOwn(START_FLAGS, flag)) {
    return { name: `--${flag}`, flag, boolean: START_FLAGS[flag as StartFlag].boolean };
  }
  const option = OPTION_BY_FLAG.get(flag);
  return option === undefined ? null : { name: flagText(option), flag, boolean: option.type === 'boolean' };
}

/** Long and short form, as pflag shows them. */
export function flagText(option: OptionDefinition): string {
  return option.short === undefined ? `--${option.flag}` : `-${option.short}, --${option.flag}`;
}

function notBoolean(name: string, value: string): InvalidArgumentError {
  return refuse(
    `invalid argument "${value}" for "${name}" flag: strconv.ParseBool: parsing "${value}": invalid syntax`,
  );
}

function refuse(message: string): InvalidArgumentError {
  return new InvalidArgumentError(`${message}\nSee 'moored --help'.`);
}

function excess(): InvalidArgumentError {
  return new InvalidArgumentError('"moored" accepts no arguments.\nSee \'moored --help\'.\n\nUsage:  moored [OPTIONS]');
}
