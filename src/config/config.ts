import { readFileSync } from 'node:fs';
import { errnoCodeOf, InvalidArgumentError, messageOf } from '../base/errors.ts';
import { parseFlags, type Flags } from './flags.ts';
import { keyOf, OPTIONS, type OptionDefinition, type OptionFlag, type OptionValue } from './options.ts';
import { parseFileValue } from './values.ts';

/** Where a value came from. */
export type Provenance = 'default' | 'file' | 'flag';

type ValueOf<Flag extends OptionFlag> = Extract<
  (typeof OPTIONS)[number],
  { readonly flag: Flag }
>['type'] extends infer Type
  ? Type extends 'boolean'
    ? boolean
    : Type extends 'integer' | 'bytes'
      ? number
      : Type extends 'string'
        ? string
        : Type extends 'list'
          ? readonly string[]
          : Readonly<Record<string, string>>
  : never;

/** The daemon's configuration, frozen. Engine rooms never see it: the composition root hands each its own options. */
export interface Config {
  get<Flag extends OptionFlag>(flag: Flag): ValueOf<Flag>;
  provenanceOf(flag: OptionFlag): Provenance;
  /** Only check, then exit. */
  readonly validateOnly: boolean;
  /** Take away what this engine made on the host, then exit. */
  readonly tearDown: boolean;
}

const DEFAULT_CONFIG_FILE = '/etc/docker/daemon.json';

/** Keys that dockerd takes in the file without a flag of that name; harmless here. */
const TOLERATED_KEYS = new Set([
  'features',
  'builder',
  'min-api-version',
  'deprecated-key-path',
  'allow-nondistributable-artifacts',
  'proxies',
]);

/**
 * Defaults, daemon.json and command line made one, by dockerd's rules: a directive given in both places is an error
 * (but for `runtimes`, which are merged), unknown keys are an error, an empty or missing default file is not.
 */
export function loadConfig(argv: readonly string[], version: string): Config {
  const flags = parseFlags(argv, version);
  const path = flags.configFile ?? DEFAULT_CONFIG_FILE;
  const document = readDocument(path, flags.configFile !== null);
  const values = new Map<string, { readonly value: OptionValue; readonly provenance: Provenance }>();
  try {
    refuseUnknown(document);
    refuseConflicts(document, flags);
    for (const option of OPTIONS) values.set(option.flag, choose(option, document, flags));
  } catch (error) {
    throw new InvalidArgumentError(`unable to configure the Docker daemon with file ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  for (const option of OPTIONS) refuseUnoffered(option, values.get(option.flag)?.value);
  const config: Config = {
    get: (flag) => values.get(flag)?.value as never,
    provenanceOf: (flag) => values.get(flag)?.provenance ?? 'default',
    validateOnly: flags.validateOnly,
    tearDown: flags.tearDown,
  };
  return Object.freeze(config);
}

function readDocument(path: string, mustExist: boolean): Readonly<Record<string, unknown>> {
  let text: string;
  try {
    text = readFileSync(path, 'utf8').replace(/^\uFEFF/, '');
  } catch (error) {
    if (errnoCodeOf(error) === 'ENOENT' && !mustExist) return {};
    const reason = errnoCodeOf(error) === 'ENOENT' ? 'no such file or directory' : messageOf(error);
    throw new InvalidArgumentError(`unable to configure the Docker daemon with file ${path}: open ${path}: ${reason}`);
  }
  if (text.trim() === '') return {};
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw new Error('not a JSON object');
    return flattenProxies(parsed as Record<string, unknown>);
  } catch (error) {
    throw new InvalidArgumentError(`unable to configure the Docker daemon with file ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** `{"proxies": {"http-proxy": …}}` counts as the keys inside it. */
function flattenProxies(document: Record<string, unknown>): Readonly<Record<string, unknown>> {
  const proxies = document['proxies'];
  return typeof proxies === 'object' && proxies !== null
    ? { ...document, ...(proxies as Record<string, unknown>) }
    : document;
}

function refuseUnknown(document: Readonly<Record<string, unknown>>): void {
  const known = new Set((OPTIONS as readonly OptionDefinition[]).map(keyOf));
  const unknown = Object.keys(document).filter((key) => !known.has(key) && !TOLERATED_KEYS.has(key));
  if (unknown.length > 0) {
    throw new InvalidArgumentError(
      `the following directives don't match any configuration option: ${unknown.join(', ')}`,
    );
  }
}

function refuseConflicts(document: Readonly<Record<string, unknown>>, flags: Flags): void {
  const both = (OPTIONS as readonly OptionDefinition[]).filter(
    (option) => keyOf(option) !== 'runtimes' && flags.given.has(option.flag) && keyOf(option) in document,
  );
  if (both.length === 0) return;
  const texts = both.map(
    (option) =>
      `${keyOf(option)}: (from flag: ${goText(flags.given.get(option.flag))}, from file: ${goText(document[keyOf(option)])})`,
  );
  throw new InvalidArgumentError(
    `the following directives are specified both as a flag and in the configuration file: ${texts.join(', ')}`,
  );
}

/** As Go prints a value with %v. */
function goText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(String).join(' ')}]`;
  if (typeof value === 'object' && value !== null) {
    return `map[${Object.entries(value as Record<string, unknown>)
      .map(([key, entry]) => `${key}:${goText(entry)}`)
      .join(' ')}]`;
  }
  return String(value);
}

function choose(
  option: OptionDefinition,
  document: Readonly<Record<string, unknown>>,
  flags: Flags,
): { readonly value: OptionValue; readonly provenance: Provenance } {
  const given = flags.given.get(option.flag);
  const inFile = document[keyOf(option)];
  const fromFile = inFile === undefined || inFile === null ? undefined : parseFileValue(option, keyOf(option), inFile);
  if (option.type === 'map' && given !== undefined && fromFile !== undefined) {
    return { value: { ...(given as object), ...(fromFile as object) }, provenance: 'file' };
  }
  // dockerd's rule: an empty or zero value in the file falls back to the default.
  if (fromFile !== undefined && (option.type === 'boolean' || !isZero(fromFile)))
    return { value: fromFile, provenance: 'file' };
  if (given !== undefined) return { value: given, provenance: 'flag' };
  return { value: option.fallback, provenance: 'default' };
}

function isZero(value: OptionValue): boolean {
  return value === 0 || value === '' || (Array.isArray(value) && value.length === 0);
}

function refuseUnoffered(option: OptionDefinition, value: OptionValue | undefined): void {
  if (option.refused === undefined || JSON.stringify(value) === JSON.stringify(option.fallback)) return;
  throw new InvalidArgumentError(`--${option.flag} ${option.refused}`);
}
