import { parseByteSize } from '../base/byte-size.ts';
import { InvalidArgumentError } from '../base/errors.ts';
import { builderGcOf } from './builder-gc.ts';
import { checkValue, isCheckedAsFlag } from './checks.ts';
import { flagText, parseBoolean } from './flags.ts';
import type { OptionDefinition, OptionValue } from './options.ts';
import { flagFormOf } from './prefix-mirrors.ts';

/**
 * One value given on the command line, in the option's type; a list or map with one entry. Go's pflag texts, or the
 * texts of dockerd's own flag types.
 */
export function parseFlagValue(option: OptionDefinition, text: string): OptionValue {
  const invalid = (reason: string): InvalidArgumentError =>
    new InvalidArgumentError(
      `invalid argument "${text}" for "${flagText(option)}" flag: ${reason}\nSee 'moored --help'.`,
    );
  const value = flagValue(option, text, invalid);
  const reason = isCheckedAsFlag(option) ? checkValue(option, value) : null;
  if (reason !== null) throw invalid(reason);
  return value;
}

function flagValue(
  option: OptionDefinition,
  text: string,
  invalid: (reason: string) => InvalidArgumentError,
): OptionValue {
  switch (option.type) {
    case 'boolean': {
      const value = parseBoolean(text);
      if (value === null) throw invalid(`strconv.ParseBool: parsing "${text}": invalid syntax`);
      return value;
    }
    case 'integer':
      return integerOf(text, invalid);
    case 'bytes': {
      const value = parseByteSize(text.trim());
      if (value === null) throw invalid(`invalid size: '${text}'`);
      return value;
    }
    case 'string':
      return text;
    case 'list':
      return [text];
    case 'map':
      return entryOf(option, text, invalid);
  }
}

function integerOf(text: string, invalid: (reason: string) => InvalidArgumentError): number {
  if (!/^[-+]?\d+$/.test(text)) throw invalid(`strconv.ParseInt: parsing "${text}": invalid syntax`);
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw invalid(`strconv.ParseInt: parsing "${text}": value out of range`);
  return value;
}

function entryOf(
  option: OptionDefinition,
  text: string,
  invalid: (reason: string) => InvalidArgumentError,
): Readonly<Record<string, string>> {
  const cut = option.flag === 'default-network-opt' ? secondEquals(text) : text.indexOf('=');
  if (cut > 0) return { [text.slice(0, cut)]: text.slice(cut + 1) };
  if (option.flag === 'feature' && cut === -1 && text !== '') return { [text]: 'true' };
  if (option.flag === 'default-network-opt') {
    throw invalid(`invalid value "${text}" for map option, should be root-key=key=value`);
  }
  if (option.flag === 'add-runtime') throw invalid(`invalid runtime argument: ${text}`);
  // json-file's own options may stand alone in dockerd, which refuses them later.
  throw invalid(option.flag === 'default-ulimit' ? `invalid ulimit argument: ${text}` : `invalid argument: ${text}`);
}

/** Of `driver=key=value`, whose first two words are the entry's name; -1 without. */
function secondEquals(text: string): number {
  const first = text.indexOf('=');
  return first === -1 ? -1 : text.indexOf('=', first + 1);
}

/**
 * The value of a typed variable: yes/no (true/false is taken too), words at blanks for lists and maps. Throws
 * InvalidArgumentError whose message tells what it must be.
 */
export function parseVariableValue(option: OptionDefinition, text: string, words: readonly string[]): OptionValue {
  const must = (what: string): InvalidArgumentError => new InvalidArgumentError(`"${text}" must be ${what}`);
  switch (option.type) {
    case 'boolean':
      if (/^(?:yes|true)$/i.test(text)) return true;
      if (/^(?:no|false)$/i.test(text)) return false;
      throw must('yes or no');
    case 'integer':
      return integerOf(text, () => must('a whole number'));
    case 'bytes':
      return flagValue(option, text, () => must('a size such as 64M'));
    case 'string':
      return text;
    case 'list':
      return [...words];
    case 'map':
      return Object.assign({}, ...words.map((word) => entryOf(option, word, () => must('words NAME=VALUE')))) as Record<
        string,
        string
      >;
  }
}

/** One value of daemon.json, in the option's type. Go's texts; the file's name is put in front by the caller. */
export function parseFileValue(option: OptionDefinition, key: string, value: unknown): OptionValue {
  const mismatch = (wanted: string): InvalidArgumentError =>
    new InvalidArgumentError(
      `json: cannot unmarshal ${jsonKind(value)} into Go struct field Config.${key} of type ${wanted}`,
    );
  switch (option.type) {
    case 'boolean':
      if (typeof value !== 'boolean') throw mismatch('bool');
      return value;
    case 'integer':
      if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw mismatch('int');
      return value;
    case 'bytes': {
      const bytes = typeof value === 'number' ? value : typeof value === 'string' ? parseByteSize(value.trim()) : null;
      if (bytes !== null) return bytes;
      throw typeof value === 'string'
        ? new InvalidArgumentError(`invalid size: '${value}'`)
        : mismatch('opts.MemBytes');
    }
    case 'string':
      if (typeof value !== 'string') throw mismatch('string');
      return value;
    case 'list':
      if (key === 'default-address-pools') return poolsOf(value, mismatch);
      // Of before dockerd 28, when there was one.
      if (key === 'host-gateway-ip' && typeof value === 'string') return value === '' ? [] : [value];
      if (key === 'registries') return flagFormOf(value);
      if (!Array.isArray(value)) throw mismatch('[]string');
      for (const item of value as readonly unknown[]) {
        if (typeof item !== 'string') throw mismatchOf(item, key, 'string');
      }
      return value as readonly string[];
    case 'map':
      return mapOf(key, value, mismatch);
  }
}

/** An entry that is not what it must be, as Go names it. */
function mismatchOf(entry: unknown, key: string, wanted: string): InvalidArgumentError {
  return new InvalidArgumentError(
    `json: cannot unmarshal ${jsonKind(entry)} into Go struct field Config.${key} of type ${wanted}`,
  );
}

function jsonKind(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'boolean') return 'bool';
  return typeof value;
}

/** What Go wants in a map; text in others. */
const ENTRY_TYPES: Readonly<Record<string, string>> = {
  features: 'bool',
  runtimes: 'types.Runtime',
  'default-ulimits': 'units.Ulimit',
};

/** `runtimes`, `log-opts`, `features` and `default-ulimits` as flat text maps: the flag's own form of them. */
function mapOf(
  key: string,
  value: unknown,
  mismatch: (wanted: string) => InvalidArgumentError,
): Readonly<Record<string, string>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw mismatch('map[string]string');
  if (key === 'builder') return builderGcOf(value, mismatch);
  if (key === 'default-network-opts') return networkOptionsOf(key, value as Record<string, unknown>);
  return Object.fromEntries(
    Object.entries(value as Record<string, unknown>).map(([name, entry]): [string, string] => {
      const text = entryText(key, entry);
      if (text !== null) return [name, text];
      throw mismatchOf(entry, key, ENTRY_TYPES[key] ?? 'string');
    }),
  );
}

/** `{"bridge":{"com.docker.network.driver.mtu":"1400"}}` → `bridge=com.docker.network.driver.mtu` → `1400` */
function networkOptionsOf(key: string, drivers: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> {
  const entries: [string, string][] = [];
  for (const [driver, options] of Object.entries(drivers)) {
    if (typeof options !== 'object' || options === null || Array.isArray(options)) {
      throw mismatchOf(options, key, 'map[string]string');
    }
    for (const [name, text] of Object.entries(options as Record<string, unknown>)) {
      if (typeof text !== 'string') throw mismatchOf(text, key, 'string');
      entries.push([`${driver}=${name}`, text]);
    }
  }
  return Object.fromEntries(entries);
}

function entryText(key: string, entry: unknown): string | null {
  if (key === 'features') return typeof entry === 'boolean' ? String(entry) : null;
  // Refused with the reason as soon as it is set: only that it is set must be kept.
  if (key === 'nri-opts') return JSON.stringify(entry);
  const fields = (typeof entry === 'object' && entry !== null ? entry : {}) as Record<string, unknown>;
  if (key === 'runtimes') {
    if (typeof fields['path'] !== 'string') return null;
    const args = Array.isArray(fields['runtimeArgs']) ? fields['runtimeArgs'].map(String) : [];
    return [fields['path'], ...args].join(' ');
  }
  if (key === 'default-ulimits' && typeof fields['Hard'] === 'number') {
    const soft = typeof fields['Soft'] === 'number' ? fields['Soft'] : fields['Hard'];
    return `${String(soft)}:${String(fields['Hard'])}`;
  }
  return typeof entry === 'string' ? entry : null;
}

/** `[{"base":"10.0.0.0/8","size":24}]` as the flag writes it. */
function poolsOf(value: unknown, mismatch: (wanted: string) => InvalidArgumentError): readonly string[] {
  if (!Array.isArray(value)) throw mismatch('[]*ipamutils.NetworkToSplit');
  return value.map((entry: unknown) => {
    const { base, size } = (entry ?? {}) as Record<string, unknown>;
    if (typeof base !== 'string' || typeof size !== 'number') throw mismatch('ipamutils.NetworkToSplit');
    return `base=${base},size=${String(size)}`;
  });
}
