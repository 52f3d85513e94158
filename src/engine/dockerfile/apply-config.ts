/**
 * What the instructions that run nothing do to an image's configuration, and how Docker's history tells of it. Rules and
 * texts are those of Docker's first builder.
 */
import { posix } from 'node:path';
import { InvalidArgumentError } from '../../base/errors.ts';
import { formatGoDuration } from '../../base/go-duration.ts';
import type { HealthcheckConfig, ImageRunConfig } from '../oci/image-spec.ts';
import { located } from './faults.ts';
import { goQuote, goQuoteAll, goQuoteRune } from './text/go-quote.ts';
import type { CommandForm, Instruction } from './types.ts';
import { exposedPorts } from './exposed-ports.ts';

/** What a stage has come to. */
export interface StageState {
  readonly config: ImageRunConfig;
  /** MAINTAINER; null: none of this stage. */
  readonly author: string | null;
  /** CMD has stood in this stage: an ENTRYPOINT behind it leaves it be. */
  readonly isCommandSet: boolean;
}

export interface ConfigStep {
  readonly state: StageState;
  /** The words of `container_config.Cmd`; with blanks between them, `created_by`. */
  readonly recorded: readonly string[];
  /** Lines that Docker prints. */
  readonly notices: readonly string[];
}

export type ConfigInstruction = Exclude<Instruction, { readonly kind: 'run' | 'copy' | 'add' }>;
type Pairs = readonly (readonly [string, string])[];

/** What happens to the configuration, and the text behind `#(nop)`. */
interface Change {
  readonly config: ImageRunConfig;
  readonly comment: string;
  readonly notices?: readonly string[];
}

const DEFAULT_SHELL = ['/bin/sh', '-c'];
/** Registries refuse larger configurations, and the kernel larger environments. */
const LONGEST_CONFIG = 2 * 1024 * 1024;

/** Whether it changes the configuration and nothing else. */
export function isConfigInstruction(instruction: Instruction): instruction is ConfigInstruction {
  return instruction.kind !== 'run' && instruction.kind !== 'copy' && instruction.kind !== 'add';
}

/** InvalidArgumentError, in Docker's words and with the place, for what only the configuration shows to be wrong. */
export function applyToConfig(
  state: StageState,
  instruction: ConfigInstruction,
  { isBuild = true }: { readonly isBuild?: boolean } = {},
): ConfigStep {
  const { comment, notices = [], ...change } = atInstruction(instruction, () => changed(state, instruction));
  const config = isBuild ? withFormerOptions(change.config, state.config) : change.config;
  const next: StageState = {
    config,
    author: instruction.kind === 'maintainer' ? instruction.name : state.author,
    isCommandSet: state.isCommandSet || (instruction.kind === 'cmd' && !isEmpty(instruction.command)),
  };
  // Docker's WORKDIR writes its comment in one word with the mark, all others in two.
  const words = instruction.kind === 'workdir' ? [`#(nop) ${comment}`] : ['#(nop) ', comment];
  return { state: next, recorded: [...shellOf(config), ...words], notices };
}

/** The words of a step that is no RUN and writes a layer (COPY, ADD): `/bin/sh -c #(nop) COPY file:… in / `. */
export function recordedStep(config: ImageRunConfig, comment: string): readonly string[] {
  return [...shellOf(config), `#(nop) ${comment}`];
}

/** What shell forms begin with. */
export function shellOf({ Shell: shell }: ImageRunConfig): readonly string[] {
  return shell === undefined || shell === null || shell.length === 0 ? DEFAULT_SHELL : shell;
}

function changed(state: StageState, instruction: ConfigInstruction): Change {
  const { config } = state;
  switch (instruction.kind) {
    case 'env':
      return withEnv(config, instruction.pairs);
    case 'label':
      return withLabels(config, instruction.pairs);
    case 'arg':
      return { config, comment: `ARG ${instruction.pairs.map(argText).join(' ')}` };
    case 'workdir':
      return withWorkdir(config, instruction.path);
    case 'user':
      return { config: { ...config, User: instruction.user }, comment: `USER ${instruction.user}` };
    case 'cmd': {
      const command = wordsOf(config, instruction.command);
      return { config: { ...config, Cmd: command }, comment: `CMD ${goQuoteAll(command)}` };
    }
    case 'entrypoint':
      return withEntrypoint(state, instruction.command);
    case 'expose': {
      const ports: Record<string, object> = { ...config.ExposedPorts };
      for (const port of instruction.ports.flatMap(exposedPorts)) ports[port] = {};
      return { config: { ...config, ExposedPorts: ports }, comment: `EXPOSE ${instruction.ports.join(' ')}` };
    }
    case 'volume': {
      const volumes = { ...config.Volumes, ...Object.fromEntries(instruction.paths.map((path) => [path, {}])) };
      return { config: { ...config, Volumes: volumes }, comment: `VOLUME [${instruction.paths.join(' ')}]` };
    }
    case 'shell':
      return { config: { ...config, Shell: instruction.words }, comment: `SHELL [${instruction.words.join(' ')}]` };
    case 'stopsignal':
      return { config: { ...config, StopSignal: instruction.signal }, comment: `STOPSIGNAL ${instruction.signal}` };
    case 'healthcheck':
      return withHealthcheck(config, instruction.check);
    case 'onbuild': {
      const triggers = [...(config.OnBuild ?? []), instruction.trigger];
      return { config: { ...config, OnBuild: triggers }, comment: `ONBUILD ${instruction.trigger}` };
    }
    case 'maintainer':
      return { config, comment: `MAINTAINER ${instruction.name}` };
  }
}

function withEnv(config: ImageRunConfig, pairs: Pairs): Change {
  const env = [...(config.Env ?? [])];
  const places = new Map<string, number>();
  // The first one counts, as Docker finds them.
  for (const [index, entry] of env.entries()) {
    const name = entry.split('=', 1)[0] ?? '';
    if (!places.has(name)) places.set(name, index);
  }
  for (const [name, value] of pairs) {
    const place = places.get(name) ?? env.length;
    env[place] = `${name}=${value}`;
    places.set(name, place);
  }
  refuseHuge(env);
  return {
    config: { ...config, Env: env },
    comment: `ENV ${pairs.map(([name, value]) => `${name}=${value}`).join(' ')}`,
  };
}

function withLabels(config: ImageRunConfig, pairs: Pairs): Change {
  const labels = { ...config.Labels, ...Object.fromEntries(pairs) };
  refuseHuge(Object.entries(labels).flat());
  return {
    config: { ...config, Labels: labels },
    comment: `LABEL ${pairs.map(([name, value]) => `${name}=${value}`).join(' ')}`,
  };
}

function withWorkdir(config: ImageRunConfig, path: string): Change {
  const directory = cleaned(posix.isAbsolute(path) ? path : posix.join('/', config.WorkingDir ?? '', path));
  return { config: { ...config, WorkingDir: directory }, comment: `WORKDIR ${directory}` };
}

/** Go's `filepath.Clean`: Node's keeps a slash at the end. */
function cleaned(path: string): string {
  const normal = posix.normalize(path);
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal;
}

/** The command of whoever had another entrypoint means nothing to this one. */
function withEntrypoint({ config, isCommandSet }: StageState, command: CommandForm): Change {
  const words = isEmpty(command) ? null : wordsOf(config, command);
  const entrypoint = { ...config, Entrypoint: words };
  return {
    config: isCommandSet || config.Cmd === undefined ? entrypoint : { ...entrypoint, Cmd: null },
    comment: `ENTRYPOINT ${goQuoteAll(words ?? [])}`,
  };
}

function withHealthcheck(config: ImageRunConfig, check: HealthcheckConfig): Change {
  const before = config.Healthcheck?.Test ?? [];
  const isOverridden = before.length > 0 && before[0] !== 'NONE';
  return {
    config: { ...config, Healthcheck: check },
    comment: `HEALTHCHECK ${healthcheckText(check)}`,
    ...(isOverridden ? { notices: [`Note: overriding previous HEALTHCHECK: [${before.join(' ')}]`] } : {}),
  };
}

/**
 * Times and retries that a health check leaves open stay as they were, even under `NONE`: Docker's builder makes a container
 * of the parent for each step, and that fills them in.
 */
function withFormerOptions(config: ImageRunConfig, before: ImageRunConfig): ImageRunConfig {
  const [check, former] = [config.Healthcheck ?? null, before.Healthcheck ?? null];
  if (check === null || former === null || check === former) return config;
  return { ...config, Healthcheck: { ...former, ...check } };
}

/** Go's `%q` of its struct: times as texts, the number as a character. */
function healthcheckText(check: HealthcheckConfig): string {
  const times = [check.Interval, check.Timeout, check.StartPeriod, check.StartInterval];
  const texts = times.map((ns) => goQuote(formatGoDuration(ns ?? 0)));
  return `&{${goQuoteAll(check.Test ?? [])} ${texts.join(' ')} ${goQuoteRune(check.Retries ?? 0)}}`;
}

function argText([name, value]: readonly [string, string | null]): string {
  return value === null ? name : `${name}=${value}`;
}

/** JSON form as it is, anything else by the shell. */
function wordsOf(config: ImageRunConfig, command: CommandForm): readonly string[] {
  if (command.kind === 'exec') return command.words;
  return [...shellOf(config), ...(command.text === '' ? [] : [command.text])];
}

function isEmpty(command: CommandForm): boolean {
  return command.kind === 'exec' ? command.words.length === 0 : command.text === '';
}

function refuseHuge(texts: readonly string[]): void {
  const length = texts.reduce((sum, text) => sum + text.length, 0);
  if (length <= LONGEST_CONFIG) return;
  throw new InvalidArgumentError(`the image's configuration is longer than ${String(LONGEST_CONFIG)} characters`);
}

function atInstruction<T>({ line }: Instruction, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    throw new InvalidArgumentError(located(error.message, line), { cause: error });
  }
}
