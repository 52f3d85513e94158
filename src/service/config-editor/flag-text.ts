/** The text of DOCKER_OPTS and DOCKER_NETWORK_OPTIONS as options, and back. */
import { InvalidArgumentError, messageOf } from '../../base/errors.ts';
import { checkValue } from '../../config/checks.ts';
import { parseFlags, type GivenFlag } from '../../config/flags.ts';
import { nameOf, type OptionDefinition, type OptionValue } from '../../config/options.ts';
import { joinWords, splitWords } from '../../config/sysconfig.ts';
import { parseFlagValue } from '../../config/values.ts';
import type { ConfigOption, ConfigProblemReport } from '../../dbus/config-port.ts';
import type { Variant } from '../../dbus/bus/exported.ts';
import { flagWords, optionNamed, signatureOf, valueOf } from './option-values.ts';

/** What a value of DOCKER_OPTS means. */
export function parseOptions(text: string): {
  readonly options: readonly ConfigOption[];
  readonly problems: readonly ConfigProblemReport[];
} {
  const { words, open } = splitWords(text);
  const problems: ConfigProblemReport[] = [];
  const report = (severity: 'error' | 'warning', code: string, what: string): void => {
    problems.push({ key: '', severity, code, text: what.split('\n')[0] ?? what });
  };
  if (open !== null) report('error', 'unbalanced-quotes', `${open} is open at the end`);
  const options = new Map<OptionDefinition, OptionValue>();
  for (const { option, value } of flagsOf(words, (what) => report('error', 'invalid-flag', what))) {
    try {
      const parsed = parseFlagValue(option, value);
      options.set(option, grown(options.get(option), parsed));
      const reason = checkValue(option, parsed);
      if (reason !== null) report('error', 'invalid-value', `--${option.flag}: ${reason}`);
    } catch (error) {
      report('error', 'invalid-value', messageOf(error));
    }
  }
  for (const { flag, refused, ignored } of options.keys()) {
    if (refused !== undefined) report('error', 'refused', `--${flag} ${refused}`);
    if (ignored !== undefined) report('warning', 'without-effect', `--${flag} ${ignored}`);
  }
  return {
    options: [...options].map(([option, value]) => ({ name: nameOf(option), type: signatureOf(option), value })),
    problems,
  };
}

function flagsOf(words: readonly string[], onProblem: (what: string) => void): readonly GivenFlag[] {
  try {
    const flags = parseFlags(words);
    if (flags.configFile !== null || flags.validateOnly || flags.tearDown || flags.asked !== null) {
      onProblem('--config-file, --validate, --tear-down, --help and --version belong on the command line');
    }
    return flags.given;
  } catch (error) {
    onProblem(messageOf(error));
    return [];
  }
}

/** Lists and maps grow with each flag, others take the last. */
function grown(sofar: OptionValue | undefined, value: OptionValue): OptionValue {
  if (typeof value !== 'object' || sofar === undefined) return value;
  return Array.isArray(value)
    ? [...(sofar as readonly string[]), ...(value as readonly string[])]
    : { ...(sofar as Readonly<Record<string, string>>), ...(value as Readonly<Record<string, string>>) };
}

/** Options as a value of DOCKER_OPTS, quoted so that systemd and a shell split it alike. */
export function formatOptions(options: Readonly<Record<string, Variant>>): string {
  return joinWords(
    Object.entries(options).flatMap(([name, given]) => {
      const option = optionNamed(name);
      const value = valueOf(option, given);
      const reason = checkValue(option, value);
      if (reason !== null) throw new InvalidArgumentError(`${name}: ${reason}`);
      return flagWords(option, value);
    }),
  );
}

/** Whether the text sets the option; false for a text that cannot be read. */
export function hasFlag(text: string, option: OptionDefinition): boolean {
  return flagsOf(splitWords(text).words, () => undefined).some((given) => given.option === option);
}

/** The text with the option set anew where it stood (else at the end), or taken out; other words as they were. */
export function withFlag(text: string, option: OptionDefinition, value: OptionValue | null): string {
  const given = parseFlags(splitWords(text).words).given;
  const fresh = value === null ? [] : flagWords(option, value);
  const at = given.findIndex((flag) => flag.option === option);
  const words = given.flatMap((flag, index) => (flag.option !== option ? wordsOf(flag) : index === at ? fresh : []));
  return joinWords(at === -1 ? [...words, ...fresh] : words);
}

/** A flag's words as they were typed: one, or flag and value. */
function wordsOf({ text, value }: GivenFlag): readonly string[] {
  const head = text.slice(0, -value.length - 1);
  return text.endsWith(` ${value}`) && /^(?:--[^=\s]+|-\w+)$/.test(head) ? [head, value] : [text];
}
