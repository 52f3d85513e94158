import { parseByteSize } from '../base/byte-size.ts';
import { InvalidArgumentError } from '../base/errors.ts';
import type { OptionDefinition, OptionValue } from './options.ts';

/** One value given on the command line, in the option's type; lists and maps grow with each. Go's pflag texts. */
export function parseFlagValue(option: OptionDefinition, text: string, sofar: OptionValue | undefined): OptionValue {
  const invalid = (reason: string): InvalidArgumentError =>
    new InvalidArgumentError(`invalid argument "${text}" for "${flagText(option)}" flag: ${reason}`);
  switch (option.type) {
    case 'boolean': {
      const value = parseBoolean(text);
      if (value === null) throw invalid(`strconv.ParseBool: parsing "${text}": invalid syntax`);
      return value;
    }
    case 'integer':
      if (!/^-?\d+$/.test(text)) throw invalid(`strconv.ParseInt: parsing "${text}": invalid syntax`);
      return Number(text);
    case 'bytes': {
      const value = parseByteSize(text.trim());
      if (value === null) throw invalid(`invalid size: '${text}'`);
      return value;
    }
    case 'string':
      return text;
    case 'list':
      return [...(Array.isArray(sofar) ? (sofar as readonly string[]) : []), text];
    case 'map': {
      const cut = text.indexOf('=');
      if (cut <= 0) throw invalid(`invalid argument: ${text}`);
      return {
        ...mapSoFar(sofar),
        [text.slice(0, cut)]: text.slice(cut + 1),
      };
    }
  }
}

/** One value of daemon.json, in the option's type. The file's name is put in front of the message by the caller. */
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
      if (typeof value !== 'number' || !Number.isInteger(value)) throw mismatch('int');
      return value;
    case 'bytes': {
      const bytes = typeof value === 'number' ? value : typeof value === 'string' ? parseByteSize(value.trim()) : null;
      if (bytes === null) throw mismatch('opts.MemBytes');
      return bytes;
    }
    case 'string':
      if (typeof value !== 'string') throw mismatch('string');
      return value;
    case 'list':
      if (key === 'default-address-pools') return poolsOf(value, mismatch);
      if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) throw mismatch('[]string');
      return value;
    case 'map':
      return mapOf(key, value, mismatch);
  }
}

/** Long and short form, as pflag shows them. */
export function flagText(option: OptionDefinition): string {
  return option.short === undefined ? `--${option.flag}` : `-${option.short}, --${option.flag}`;
}

function mapSoFar(sofar: OptionValue | undefined): Readonly<Record<string, string>> {
  return typeof sofar === 'object' && !Array.isArray(sofar) ? (sofar as Readonly<Record<string, string>>) : {};
}

function parseBoolean(text: string): boolean | null {
  if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text)) return true;
  if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(text)) return false;
  return null;
}

function jsonKind(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'boolean') return 'bool';
  return typeof value;
}

/** `runtimes`, `log-opts` and `default-ulimits` as flat text maps: the flag's own form of them. */
function mapOf(
  key: string,
  value: unknown,
  mismatch: (wanted: string) => InvalidArgumentError,
): Readonly<Record<string, string>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw mismatch('map[string]string');
  return Object.fromEntries(
    Object.entries(value as Record<string, unknown>).map(([name, entry]): [string, string] => {
      if (typeof entry === 'string') return [name, entry];
      const fields = (typeof entry === 'object' && entry !== null ? entry : {}) as Record<string, unknown>;
      if (key === 'runtimes' && typeof fields['path'] === 'string') {
        const args = Array.isArray(fields['runtimeArgs']) ? fields['runtimeArgs'].map(String) : [];
        return [name, [fields['path'], ...args].join(' ')];
      }
      if (key === 'default-ulimits' && typeof fields['Hard'] === 'number') {
        const soft = typeof fields['Soft'] === 'number' ? fields['Soft'] : fields['Hard'];
        return [name, `${String(soft)}:${String(fields['Hard'])}`];
      }
      throw mismatch('string');
    }),
  );
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
