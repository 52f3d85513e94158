/**
 * `--change` of import and commit: Dockerfile instructions that change an image's configuration and run nothing. Texts
 * of faults are dockerd's.
 */
import { constants } from 'node:os';
import { posix } from 'node:path';
import { InvalidArgumentError } from '../../../base/errors.ts';
import type { ImageRunConfig } from '../../oci/image-spec.ts';
import { expandWord } from './expand.ts';
import { exposedPorts } from './exposed-ports.ts';
import { parseHealthcheck } from './healthcheck.ts';
import { parseJsonForm, parseLines, splitWords, type Instruction } from './lines.ts';

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };
type Draft = Mutable<ImageRunConfig>;
type Apply = (config: Draft, instruction: Instruction) => void;

const DEFAULT_SHELL = ['/bin/sh', '-c'];
const HIGHEST_SIGNAL = 64;
/** Real-time signals have no number in `os.constants`. */
const REALTIME_SIGNAL = /^RTM(?:IN(?:\+\d{1,2})?|AX(?:-\d{1,2})?)$/;

const APPLY: ReadonlyMap<string, Apply> = new Map<string, Apply>([
  ['cmd', (config, line) => void (config.Cmd = commandOf(line))],
  [
    'entrypoint',
    (config, line) => {
      const json = parseJsonForm(line.rest);
      config.Entrypoint = line.rest === '' || json?.length === 0 ? null : commandOf(line);
    },
  ],
  ['env', applyEnv],
  ['expose', applyExpose],
  ['healthcheck', (config, line) => void (config.Healthcheck = parseHealthcheck(line))],
  ['label', applyLabel],
  ['onbuild', applyOnBuild],
  ['stopsignal', (config, line) => void (config.StopSignal = signalOf(expandOne(config, line)))],
  ['user', (config, line) => void (config.User = expandOne(config, line))],
  ['volume', applyVolume],
  ['workdir', applyWorkdir],
]);

/** The configuration that the lines make of `base`. InvalidArgumentError for a line that is not one of ours. */
export function applyChanges(changes: readonly string[], base: ImageRunConfig = {}): ImageRunConfig {
  if (changes.length === 0) return base;
  const instructions = parseLines(changes.join('\n'));
  for (const { keyword } of instructions) {
    if (!APPLY.has(keyword)) throw new InvalidArgumentError(`${keyword} is not a valid change command`);
  }
  const config: Draft = { ...base };
  for (const instruction of instructions) {
    const [flag] = instruction.flags;
    if (flag !== undefined && instruction.keyword !== 'healthcheck') {
      throw new InvalidArgumentError(`Unknown flag: ${flag.split('=', 1)[0] ?? ''}`);
    }
    APPLY.get(instruction.keyword)?.(config, instruction);
  }
  return config;
}

/** JSON form as it is, anything else by the shell. */
function commandOf({ rest }: Instruction): readonly string[] {
  return parseJsonForm(rest) ?? [...DEFAULT_SHELL, ...(rest === '' ? [] : [rest])];
}

function applyEnv(config: Draft, line: Instruction): void {
  const env = [...(config.Env ?? [])];
  for (const [name, value] of pairsOf('ENV', config, line)) {
    const at = env.findIndex((entry) => entry.split('=', 1)[0] === name);
    if (at < 0) env.push(`${name}=${value}`);
    else env[at] = `${name}=${value}`;
  }
  config.Env = env;
}

function applyLabel(config: Draft, line: Instruction): void {
  config.Labels = { ...config.Labels, ...Object.fromEntries(pairsOf('LABEL', config, line)) };
}

function applyExpose(config: Draft, line: Instruction): void {
  const words = splitWords(line.rest, line.escape);
  if (words.length === 0) throw new InvalidArgumentError('EXPOSE requires at least one argument');
  const ports: Record<string, object> = { ...config.ExposedPorts };
  // A variable may hold several ports, or none.
  const specs = words.flatMap((word) => expand(config, line, word).split(/\s+/)).filter((spec) => spec !== '');
  for (const port of specs.flatMap(exposedPorts)) ports[port] = {};
  config.ExposedPorts = ports;
}

function applyVolume(config: Draft, line: Instruction): void {
  const words = parseJsonForm(line.rest) ?? splitWords(line.rest, line.escape);
  if (words.length === 0) throw new InvalidArgumentError('VOLUME requires at least one argument');
  const volumes: Record<string, object> = { ...config.Volumes };
  for (const word of words) {
    const path = expand(config, line, word).trim();
    if (path === '') throw new InvalidArgumentError('VOLUME specified can not be an empty string');
    volumes[path] = {};
  }
  config.Volumes = volumes;
}

function applyWorkdir(config: Draft, line: Instruction): void {
  const path = expandOne(config, line);
  if (path === '') throw new InvalidArgumentError('cannot normalize nothing');
  const current = config.WorkingDir ?? '';
  config.WorkingDir = path.startsWith('/') ? path : posix.join('/', current, path);
}

function applyOnBuild(config: Draft, line: Instruction): void {
  if (line.rest === '') throw new InvalidArgumentError('ONBUILD requires at least one argument');
  const trigger = (line.rest.split(/\s+/, 1)[0] ?? '').toUpperCase();
  if (trigger === 'ONBUILD') {
    throw new InvalidArgumentError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  }
  if (trigger === 'MAINTAINER' || trigger === 'FROM') {
    throw new InvalidArgumentError(`${trigger} isn't allowed as an ONBUILD trigger`);
  }
  config.OnBuild = [...(config.OnBuild ?? []), line.original.replace(/^onbuild\s*/i, '')];
}

/** The whole rest as one argument. */
function expandOne(config: Draft, line: Instruction): string {
  if (line.rest === '') throw new InvalidArgumentError(`${line.keyword.toUpperCase()} requires exactly one argument`);
  return expand(config, line, line.rest);
}

/** `name=value …`, or the old form `name value with blanks`. */
function pairsOf(keyword: string, config: Draft, line: Instruction): readonly (readonly [string, string])[] {
  const words = splitWords(line.rest, line.escape);
  const [first] = words;
  if (first === undefined) throw new InvalidArgumentError(`${keyword} requires at least one argument`);
  if (!first.includes('=')) {
    const [, name, value] = /^(\S+)\s+([\s\S]+)$/.exec(line.rest) ?? [];
    if (name === undefined || value === undefined) {
      throw new InvalidArgumentError(`${keyword} must have two arguments`);
    }
    return [[expand(config, line, name), expand(config, line, value)]];
  }
  return words.map((word) => {
    const equals = word.indexOf('=');
    if (equals < 0) {
      throw new InvalidArgumentError(
        `Syntax error - can't find = in ${JSON.stringify(word)}. Must be of the form: name=value`,
      );
    }
    const name = expand(config, line, word.slice(0, equals));
    if (name === '') throw new InvalidArgumentError(`${keyword} names can not be blank`);
    return [name, expand(config, line, word.slice(equals + 1))];
  });
}

function expand(config: Draft, { escape }: Instruction, word: string): string {
  const env = new Map(
    (config.Env ?? []).map((entry): [string, string] => {
      const equals = entry.indexOf('=');
      return equals < 0 ? [entry, ''] : [entry.slice(0, equals), entry.slice(equals + 1)];
    }),
  );
  return expandWord(word, env, escape);
}

function signalOf(text: string): string {
  const number = /^\d+$/.test(text) ? Number(text) : null;
  const name = text.toUpperCase().replace(/^SIG/, '');
  const isKnown =
    number === null
      ? `SIG${name}` in constants.signals || REALTIME_SIGNAL.test(name)
      : number > 0 && number <= HIGHEST_SIGNAL;
  if (!isKnown) throw new InvalidArgumentError(`Invalid signal: ${text}`);
  return text;
}
