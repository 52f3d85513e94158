/**
 * daemon.json and the fragments beside it, `daemon.json.d/*.json` in the order of their names. What they say is one
 * layer: lists and maps grow from file to file, of single values the last one counts.
 */
import { pathErrorText } from '../base/errno-text.ts';
import { messageOf } from '../base/errors.ts';
import type { Assignment } from './assignment.ts';
import { builderKeysWithoutEffect } from './builder-gc.ts';
import { checkValue } from './checks.ts';
import { ConfigError, errorProblem } from './config-error.ts';
import type { ConfigFiles } from './files.ts';
import { JsonSyntaxError, parseJsonDocument, type JsonDocument } from './json-document.ts';
import { KEY_GROUPS, KEYS_WITHOUT_EFFECT, OPTION_BY_KEY, type OptionDefinition, type OptionValue } from './options.ts';
import type { ConfigProblem, Layer } from './origin.ts';
import { parseFileValue } from './values.ts';

export const DEFAULT_CONFIG_FILE = '/etc/docker/daemon.json';

/** One key of one file that says something, even if it says only what is the default. */
export interface FileEntry {
  readonly key: string;
  readonly file: string;
  readonly line: number;
  readonly json: unknown;
}

/** All that the files say. */
export interface FileLayer {
  readonly assignments: readonly Assignment[];
  /** By flag: the keys that are there, whatever their value; what dockerd's conflict rule looks at. */
  readonly entries: ReadonlyMap<string, FileEntry>;
  readonly warnings: readonly ConfigProblem[];
}

/** Throws {@link ConfigError} in dockerd's words. `named`: the path was given, and the file must exist. */
export function readFileLayer(files: ConfigFiles, path: string, named: boolean): FileLayer {
  const assignments: Assignment[] = [];
  const entries = new Map<string, FileEntry>();
  const warnings: ConfigProblem[] = [];
  const sources = [{ file: path, layer: 'file' as Layer }, ...fragmentsOf(files, path)];
  for (const { file, layer } of sources) {
    const text = readText(files, file, named && file === path);
    if (text.trim() === '') continue;
    const document = parseText(text, file);
    for (const entry of entriesOf(document, file, warnings)) {
      const option = OPTION_BY_KEY.get(entry.key);
      if (option === undefined) continue;
      entries.set(option.flag, entry);
      const value = valueOf(option, entry);
      if (option.flag === 'builder-gc')
        warnings.push(...builderKeysWithoutEffect(entry.json).map((name) => noEffectIn(entry, name)));
      if (value === null) warnings.push(zeroWarning(entry));
      else {
        const origin = { layer, file, line: entry.line, variable: null, text: JSON.stringify(entry.json) };
        assignments.push({ option, value, origin });
      }
    }
  }
  return { assignments, entries, warnings };
}

function fragmentsOf(files: ConfigFiles, path: string): readonly { readonly file: string; readonly layer: Layer }[] {
  return fragmentPaths(path, listOf(files, `${path}.d`)).map((file) => ({ file, layer: 'fragment' }));
}

/** Which of the names in daemon.json's `.d` directory are read, as paths in the order of reading. */
export function fragmentPaths(configFile: string, names: readonly string[]): readonly string[] {
  return names
    .filter((name) => name.endsWith('.json') && !name.startsWith('.'))
    .sort()
    .map((name) => `${configFile}.d/${name}`);
}

function listOf(files: ConfigFiles, directory: string): readonly string[] {
  try {
    return files.list(directory);
  } catch (error) {
    throw failed(directory, pathErrorText('open', directory, error));
  }
}

function readText(files: ConfigFiles, file: string, mustExist: boolean): string {
  let content: Buffer | null;
  try {
    content = files.read(file);
  } catch (error) {
    throw failed(file, pathErrorText('open', file, error));
  }
  if (content === null && mustExist) throw failed(file, `open ${file}: no such file or directory`);
  return (content?.toString('utf8') ?? '').replace(/^\uFEFF/, '');
}

function parseText(text: string, file: string): JsonDocument {
  try {
    const document = parseJsonDocument(text);
    const { value } = document;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return document;
    const kind = Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value;
    throw failed(file, `json: cannot unmarshal ${kind} into Go value of type map[string]interface {}`, { line: 1 });
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    const { line, column } = error;
    throw failed(file, `${error.message} (line ${String(line)}, column ${String(column)})`, { line });
  }
}

/** The document's keys, those inside `proxies` among them. Unknown keys are all told at once. */
function entriesOf(document: JsonDocument, file: string, warnings: ConfigProblem[]): readonly FileEntry[] {
  const entries: FileEntry[] = [];
  const unknown: FileEntry[] = [];
  const visit = (object: Readonly<Record<string, unknown>>, prefix: string): void => {
    for (const [key, json] of Object.entries(object)) {
      const entry = { key, file, json, line: document.keys.get(prefix + key)?.line ?? 1 };
      const noEffect = KEYS_WITHOUT_EFFECT.get(key);
      if (prefix === '' && KEY_GROUPS.has(key) && typeof json === 'object' && json !== null) {
        visit(json as Record<string, unknown>, `${key}.`);
      } else if (OPTION_BY_KEY.has(key)) entries.push(entry);
      else if (noEffect === undefined) unknown.push(entry);
      else warnings.push({ severity: 'warning', file, line: entry.line, subject: key, text: noEffect, cure: '' });
    }
  };
  visit(document.value as Readonly<Record<string, unknown>>, '');
  if (unknown.length > 0) throw unknownKeys(file, unknown);
  for (const { name, line } of document.repeated) warnings.push(repeatedWarning(file, line, name));
  return entries;
}

/** The value; null where dockerd takes an empty or zero value for one that is not there. */
function valueOf(option: OptionDefinition, { key, file, line, json }: FileEntry): OptionValue | null {
  if (json === null) return null;
  let value: OptionValue;
  try {
    value = parseFileValue(option, key, json);
  } catch (error) {
    throw failed(file, messageOf(error), { line, subject: key });
  }
  const reason = checkValue(option, value);
  if (reason !== null) {
    throw failed(file, `configuration validation from file failed: ${reason}`, { line, subject: key });
  }
  const isZero = value === 0 || value === '' || (Array.isArray(value) && value.length === 0);
  // dockerd's own exception: 0 means to kill at once. moored's own numbers may be 0 as well.
  const mayBeZero = option.flag === 'default-stop-timeout' || ('own' in option && value === 0);
  return isZero && !mayBeZero ? null : value;
}

function zeroWarning({ key, file, line, json }: FileEntry): ConfigProblem {
  const text = `${JSON.stringify(json)} counts as not set, as in dockerd`;
  return { severity: 'warning', file, line, subject: key, text, cure: 'Remove the key' };
}

function noEffectIn({ key, file, line }: FileEntry, name: string): ConfigProblem {
  const text = 'has no effect: of the builder, only gc can be configured';
  return { severity: 'warning', file, line, subject: `${key}.${name}`, text, cure: '' };
}

function repeatedWarning(file: string, line: number, name: string): ConfigProblem {
  const text = 'the key is there more than once; the last one counts';
  return { severity: 'warning', file, line, subject: name, text, cure: 'Remove the others' };
}

function unknownKeys(file: string, unknown: readonly FileEntry[]): ConfigError {
  const text = "the following directives don't match any configuration option";
  return new ConfigError(
    `unable to configure the Docker daemon with file ${file}: ${text}: ${unknown.map(({ key }) => key).join(', ')}`,
    unknown.map(({ key, line }) =>
      errorProblem('no such option', { file, line, subject: key, cure: 'Remove it, or mend its name' }),
    ),
  );
}

function failed(
  file: string,
  reason: string,
  place: { readonly line?: number; readonly subject?: string } = {},
): ConfigError {
  return new ConfigError(`unable to configure the Docker daemon with file ${file}: ${reason}`, [
    errorProblem(reason, { file, ...place }),
  ]);
}
