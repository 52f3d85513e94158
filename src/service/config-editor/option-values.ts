import { InvalidArgumentError } from '../../base/errors.ts';
import type { ConfigOptionDescription, OptionSignature } from '../../dbus/config-port.ts';
import { namedError } from '../../dbus/bus/errors.ts';
import type { Variant } from '../../dbus/bus/exported.ts';
import {
  nameOf,
  OPTION_BY_FLAG,
  OPTION_BY_KEY,
  OPTIONS,
  type OptionDefinition,
  type OptionValue,
} from '../../config/options.ts';
import { mayHoldPassword } from '../../config/show.ts';
import { joinWords } from '../../config/sysconfig.ts';

/** The option of a name: its key in daemon.json, else its flag. */
export function optionNamed(name: string): OptionDefinition {
  const option = OPTION_BY_KEY.get(name) ?? OPTION_BY_FLAG.get(name);
  if (option === undefined) throw namedError('NoSuchKey', `no such option: ${name}`);
  return option;
}

/** Every option, by name. */
export function describeOptions(): readonly ConfigOptionDescription[] {
  return OPTIONS.map((option) => ({
    name: nameOf(option),
    type: signatureOf(option),
    default: option.fallback,
    minimum: option.type === 'integer' ? (option.minimum ?? null) : null,
    maximum: option.type === 'integer' ? (option.maximum ?? null) : null,
    choices: option.type === 'string' || option.type === 'list' ? (option.values ?? []) : [],
    reloadable: option.live === true,
    deprecated: option.ignored !== undefined,
    secret: mayHoldPassword(option),
    refused: option.refused ?? '',
    key: option.variable ?? '',
    help: option.help,
  }));
}

export function signatureOf({ type }: OptionDefinition): OptionSignature {
  return SIGNATURES[type];
}

const SIGNATURES: Readonly<Record<OptionDefinition['type'], OptionSignature>> = {
  boolean: 'b',
  integer: 'x',
  bytes: 'x',
  string: 's',
  list: 'as',
  map: 'a{ss}',
};

/** A value from the bus in the option's type; whole numbers of any width are taken. */
export function valueOf(option: OptionDefinition, { signature, value }: Variant): OptionValue {
  const wanted = signatureOf(option);
  if (wanted === 'x' && /^[ynqiuxt]$/.test(signature)) {
    const number = Number(value);
    if (Number.isSafeInteger(number)) return number;
    throw new InvalidArgumentError(`options.${nameOf(option)}: ${String(value)} is out of range`);
  }
  const isEmptyList = wanted === 'as' && Array.isArray(value) && value.length === 0;
  if (signature !== wanted && !isEmptyList) {
    throw new InvalidArgumentError(`options.${nameOf(option)} must be of type '${wanted}', not '${signature}'`);
  }
  return value as OptionValue;
}

/** The value as its typed variable holds it. */
export function variableText(value: OptionValue): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') return value;
  return joinWords(entriesOf(value));
}

/** The value as flags: one word for each entry of a list or map. */
export function flagWords({ flag }: OptionDefinition, value: OptionValue): readonly string[] {
  if (typeof value === 'boolean') return [value ? `--${flag}` : `--${flag}=false`];
  if (typeof value === 'object') return entriesOf(value).map((entry) => `--${flag}=${entry}`);
  return [`--${flag}=${String(value)}`];
}

function entriesOf(value: readonly string[] | Readonly<Record<string, string>>): readonly string[] {
  return Array.isArray(value)
    ? (value as readonly string[])
    : Object.entries(value as Readonly<Record<string, string>>).map(([name, text]) => `${name}=${text}`);
}

/** YaST's type for the variable of an option that the file does not have. */
export function sysconfigType(option: OptionDefinition): string {
  if (option.type === 'boolean') return 'yesno';
  if (option.type === 'string' && option.values !== undefined) return `list(${option.values.join(',')})`;
  return option.type === 'integer' ? 'integer' : 'string';
}
