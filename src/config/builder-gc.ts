/**
 * `builder.gc` of daemon.json, as flat text: `enabled`, `defaultReservedSpace`, `defaultMaxUsedSpace`, `defaultMinFreeSpace`
 * and `policy`, a JSON list of {@link BuilderGcRule}. Names are taken in any case and by their former names, as dockerd does.
 */
import { parseByteSize } from '../base/byte-size.ts';
import { InvalidArgumentError } from '../base/errors.ts';

/** One rule of a policy: all values as they were written. */
export interface BuilderGcRule {
  readonly all: boolean;
  /** `name=value`. */
  readonly filter: readonly string[];
  readonly reservedSpace: string;
  readonly maxUsedSpace: string;
  readonly minFreeSpace: string;
}

/** Throws InvalidArgumentError with the reason; `key`: as the file has it. */
type Mismatch = (wanted: string) => InvalidArgumentError;
type Fields = ReadonlyMap<string, unknown>;

const SIZES = ['reservedSpace', 'maxUsedSpace', 'minFreeSpace'] as const;
const DEFAULTS = ['defaultReservedSpace', 'defaultMaxUsedSpace', 'defaultMinFreeSpace'] as const;
const RULE_FIELDS = ['id', 'parent', 'type', 'description', 'inuse', 'shared', 'private'];
const AGE = /^(?:(?:\d+(?:\.\d*)?|\.\d+)(?:h|ms|m|s|us|µs|ns))+$/;

/** The value of `builder` as the option has it. */
export function builderGcOf(value: unknown, mismatch: Mismatch): Readonly<Record<string, string>> {
  const gc = fieldsOf(fieldsOf(value, mismatch).get('gc') ?? {}, mismatch);
  const flat: Record<string, string> = {};
  const enabled = gc.get('enabled') ?? null;
  if (enabled !== null) {
    if (typeof enabled !== 'boolean') throw mismatch('bool');
    flat['enabled'] = String(enabled);
  }
  for (const name of DEFAULTS) {
    const former = name === 'defaultReservedSpace' ? 'defaultKeepStorage' : null;
    const text = textOf(gc, name, mismatch) || (former === null ? '' : textOf(gc, former, mismatch));
    if (text !== '') flat[name] = text;
  }
  const policy = gc.get('policy') ?? null;
  if (policy !== null) flat['policy'] = JSON.stringify(rulesOf(policy, mismatch));
  return flat;
}

/** What of `builder` is taken without effect, by name. */
export function builderKeysWithoutEffect(value: unknown): readonly string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.keys(value).filter((name) => name.toLowerCase() !== 'gc');
}

/** Why an entry cannot be, in dockerd's words; null when it can. */
export function checkBuilderGc(name: string, text: string): string | null {
  switch (name) {
    case 'enabled':
      return text === 'true' || text === 'false' ? null : `invalid value for builder gc enabled: ${text}`;
    case 'policy':
      return checkPolicy(text);
    default: {
      const known = DEFAULTS.find((one) => one === name);
      if (known === undefined) return `unknown option of the builder's gc: ${name}`;
      // Go's ToTitle.
      return checkSize(`default${known.slice('default'.length).toUpperCase()}`, text);
    }
  }
}

/** The rules of an entry `policy`. */
export function builderGcRules(text: string): readonly BuilderGcRule[] {
  return rulesOf(
    JSON.parse(text),
    (wanted) => new InvalidArgumentError(`json: cannot unmarshal builder gc policy into Go value of type ${wanted}`),
  );
}

function checkPolicy(text: string): string | null {
  let rules: readonly BuilderGcRule[];
  try {
    rules = builderGcRules(text);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  for (const rule of rules) {
    for (const name of SIZES) {
      const reason = checkSize(name, rule[name]);
      if (reason !== null) return reason;
    }
    const reason = checkFilters(rule.filter);
    if (reason !== null) return reason;
  }
  return null;
}

function checkSize(name: string, text: string): string | null {
  return text === '' || parseByteSize(text) !== null ? null : `failed to parse ${name}: invalid size: '${text}'`;
}

function checkFilters(filters: readonly string[]): string | null {
  const seen = new Set<string>();
  for (const filter of filters) {
    const equals = filter.indexOf('=');
    const [name, value] = equals === -1 ? [filter, ''] : [filter.slice(0, equals), filter.slice(equals + 1)];
    const isAge = name === 'until' || name === 'unused-for';
    if (!isAge && !RULE_FIELDS.includes(name)) return `invalid filter '${name}'`;
    if (isAge && !AGE.test(value)) {
      return `"${name}" filter expects a duration (e.g., '24h') or a timestamp: failed to parse value as time or duration: "${value}"`;
    }
    const kind = isAge ? 'until' : name;
    if (seen.has(kind)) return 'filters expect only one value';
    seen.add(kind);
  }
  return null;
}

function rulesOf(value: unknown, mismatch: Mismatch): readonly BuilderGcRule[] {
  if (!Array.isArray(value)) throw mismatch('[]config.BuilderGCRule');
  return value.map((entry: unknown) => {
    const fields = fieldsOf(entry, mismatch);
    const all = fields.get('all') ?? false;
    if (typeof all !== 'boolean') throw mismatch('bool');
    return {
      all,
      filter: filtersOf(fields.get('filter') ?? [], mismatch),
      reservedSpace: textOf(fields, 'reservedSpace', mismatch) || textOf(fields, 'keepStorage', mismatch),
      maxUsedSpace: textOf(fields, 'maxUsedSpace', mismatch),
      minFreeSpace: textOf(fields, 'minFreeSpace', mismatch),
    };
  });
}

/** `["unused-for=24h"]`, or the form before dockerd 24: `{"unused-for": {"24h": true}}`. */
function filtersOf(value: unknown, mismatch: Mismatch): readonly string[] {
  if (Array.isArray(value)) {
    return value.map((entry: unknown) => {
      if (typeof entry !== 'string') throw mismatch('string');
      const [name = '', ...rest] = entry.split('=');
      return `${name.trim().toLowerCase()}=${rest.join('=').trim()}`;
    });
  }
  if (typeof value !== 'object' || value === null) throw mismatch('filters.Args');
  return Object.entries(value).flatMap(([name, values]) =>
    Object.keys((values ?? {}) as Record<string, unknown>).map((text) => `${name}=${text}`),
  );
}

/** By name as it is written here, whatever case the file has. */
function fieldsOf(value: unknown, mismatch: Mismatch): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw mismatch('config.BuilderConfig');
  return new LowerCased(Object.entries(value));
}

class LowerCased extends Map<string, unknown> {
  constructor(entries: readonly (readonly [string, unknown])[]) {
    super(entries.map(([name, value]) => [name.toLowerCase(), value]));
  }

  override get(name: string): unknown {
    return super.get(name.toLowerCase());
  }
}

function textOf(fields: Fields, name: string, mismatch: Mismatch): string {
  const value = fields.get(name) ?? '';
  if (typeof value !== 'string') throw mismatch('string');
  return value;
}
