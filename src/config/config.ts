/**
 * The daemon's configuration: all layers (origin.ts) made one, frozen, each value with where it came from. Loading is pure
 * but for reading files, so that a reload is one more load of the same sources, compared with {@link diffConfig}.
 */

import type { Assignment } from './assignment.ts';
import { checkValue } from './checks.ts';
import { ConfigError, errorProblem } from './config-error.ts';
import { refuseConflicts } from './conflicts.ts';
import { DEFAULT_CONFIG_FILE, readFileLayer, type FileLayer } from './daemon-json.ts';
import { HOST_FILES, type ConfigFiles } from './files.ts';
import { parseFlags, type Flags } from './flags.ts';
import { helpText, PrintAndExit, versionText } from './help.ts';
import { mergeLayers, type Setting } from './merge.ts';
import { once } from './once.ts';
import { nameOf, OPTION_BY_FLAG, OPTIONS, type OptionFlag, type ValueOf } from './options.ts';
import type { ConfigProblem, Origin } from './origin.ts';
import { checkTogether } from './together.ts';
import {
  driverAssignments,
  environmentAssignments,
  expandHome,
  flagVariableAssignments,
  FLAG_VARIABLES,
  readVariables,
  typedAssignments,
  wordsOf,
  type Environment,
  type Variables,
} from './variables.ts';
import { parseFlagValue } from './values.ts';

export type { Setting } from './merge.ts';
export type { Layer, Origin, ConfigProblem } from './origin.ts';

/** What a configuration is read from. */
export interface ConfigSources {
  /** The words behind the program's name. */
  readonly argv: readonly string[];
  readonly environment: Environment;
  /** For `--version`. */
  readonly version: string;
  readonly files?: ConfigFiles;
}

/** The daemon's configuration, frozen. Engine rooms never see it: the composition root hands each its own options. */
export interface Config {
  get<Flag extends OptionFlag>(flag: Flag): ValueOf<Flag>;
  /** Where the value comes from. */
  originOf(flag: OptionFlag): Origin;
  /** Value and provenance of every option, by flag. */
  readonly settings: readonly Setting[];
  /** What is odd about it, and does not stop the daemon: traps of the sysconfig file, options without effect. */
  readonly problems: readonly ConfigProblem[];
  /**
   * Load these again to see what the files say now. The words of DOCKER_OPTS are no longer on their command line, nor the
   * variables of the sysconfig file in their environment: both are as old as the process.
   */
  readonly sources: ConfigSources;
  /** daemon.json's path; fragments are in the directory of this name with `.d` behind it. */
  readonly configFile: string;
  readonly sysconfigFile: string;
  /** Only check, then exit. */
  readonly validateOnly: boolean;
  /** Take away what this engine made on the host, then exit. */
  readonly tearDown: boolean;
}

/**
 * Reads and checks everything. Throws {@link ConfigError} (an InvalidArgumentError) in dockerd's words, with file, line
 * and cure in its `problems`; {@link PrintAndExit} for `--help` and `--version`.
 */
export function loadConfig(sources: ConfigSources): Config {
  const { environment, version, files = HOST_FILES } = sources;
  const typed = parseFlags(sources.argv);
  if (typed.asked !== null) throw new PrintAndExit(typed.asked === 'help' ? helpText() : versionText(version));
  const sysconfigFile = sysconfigPath(typed);
  const variables = readVariables(files, sysconfigFile, environment);
  const argv = withoutVariableWords(sources.argv, variables, environment);
  const flags = [...flagVariableAssignments(variables), ...commandLine(argv)];
  const configFile = typed.configFile ?? DEFAULT_CONFIG_FILE;
  const layer = readFileLayer(files, configFile, typed.configFile !== null);
  const settings = mergeAll(configFile, layer, flags, variables).map(freezeSetting);
  checkTogether(settings);
  const oddities = [...layer.warnings, ...settings.flatMap(offered)];
  // Traps of the sysconfig file take a second reading of it, with the eyes of all its readers: not on the way to READY.
  const problems = once(() => Object.freeze([...variables.problems, ...oddities]));
  const byFlag = new Map(settings.map((setting) => [setting.option.flag, setting]));
  const config: Config = {
    get: (flag) => byFlag.get(flag)?.value as never,
    originOf: (flag) => byFlag.get(flag)?.origin as never,
    settings: Object.freeze(settings),
    get problems() {
      return problems();
    },
    sources: Object.freeze({ argv: Object.freeze(argv), environment: variables.ownEnvironment, version, files }),
    configFile,
    sysconfigFile,
    validateOnly: typed.validateOnly,
    tearDown: typed.tearDown,
  };
  return Object.freeze(config);
}

function sysconfigPath(flags: Flags): string {
  const given = flags.given.findLast(({ option }) => option.flag === 'sysconfig-file');
  return given?.value ?? (OPTION_BY_FLAG.get('sysconfig-file')?.fallback as string);
}

/**
 * Takes a run of words out that is the whole of DOCKER_OPTS or DOCKER_NETWORK_OPTIONS: a unit that has the variable in its
 * ExecStart hands on what is read from the file anyhow, and only the file tells a reload what it says now. What
 * systemd put there is the environment's value; the file's is the same unless it was edited in between.
 */
function withoutVariableWords(
  argv: readonly string[],
  variables: Variables,
  environment: Environment,
): readonly string[] {
  let words = [...argv];
  for (const name of FLAG_VARIABLES) {
    const inEnvironment = environment[name];
    const passed = inEnvironment === undefined ? null : { name, value: inEnvironment, file: null, line: null };
    for (const run of [wordsOf(passed), wordsOf(variables.get(name))]) {
      const at = indexOfRun(words, run);
      if (at === -1) continue;
      words = words.toSpliced(at, run.length);
      break;
    }
  }
  return words;
}

function indexOfRun(words: readonly string[], run: readonly string[]): number {
  if (run.length === 0) return -1;
  return words.findIndex((_, at) => run.every((word, offset) => words[at + offset] === word));
}

function commandLine(argv: readonly string[]): readonly Assignment[] {
  return parseFlags(argv).given.map(({ option, value, text }) => ({
    option,
    value: parseFlagValue(option, value),
    origin: { layer: 'command-line', file: null, line: null, variable: null, text },
  }));
}

/** The layers in their order; which of flags and files is the stronger depends on `config-conflicts`. */
function mergeAll(
  path: string,
  layer: FileLayer,
  flags: readonly Assignment[],
  variables: Variables,
): readonly Setting[] {
  const weak = [environmentAssignments(variables), typedAssignments(variables)];
  const [conflicts] = mergeLayers(
    OPTIONS.filter(({ flag }) => flag === 'config-conflicts'),
    [...weak, layer.assignments, flags],
  );
  const mode = conflicts?.value;
  if (mode === 'error') refuseConflicts(path, layer, flags);
  const strong = mode === 'file-wins' ? [flags, layer.assignments] : [layer.assignments, flags];
  const settings = mergeLayers(OPTIONS, [...weak, ...strong, driverAssignments(variables)]);
  for (const { option, value, origin } of settings) {
    const reason = origin.layer === 'default' ? null : checkValue(option, value);
    if (reason === null) continue;
    const text = `merged configuration validation from file and command line flags failed: ${reason}`;
    throw new ConfigError(`unable to configure the Docker daemon with file ${path}: ${text}`, [
      problemAt(origin, nameOf(option), reason),
    ]);
  }
  return settings.map((setting) => derive(setting, settings));
}

/** What follows from another option, as in dockerd: any word on tlsverify switches TLS on. */
function derive(setting: Setting, all: readonly Setting[]): Setting {
  if (setting.option.flag.startsWith('tls') && typeof setting.value === 'string') {
    return { ...setting, value: expandHome(setting.value) };
  }
  if (setting.option.flag !== 'tls') return setting;
  const verify = all.find(({ option }) => option.flag === 'tlsverify');
  if (verify === undefined || verify.origin.layer === 'default') return setting;
  return { ...setting, value: true, origin: verify.origin, origins: verify.origins };
}

/** Refuses what is not offered, and tells of what has no effect. */
function offered({ option, value, origin }: Setting): readonly ConfigProblem[] {
  const reason = option.refused ?? option.ignored;
  if (reason === undefined || JSON.stringify(value) === JSON.stringify(option.fallback)) return [];
  if (option.refused === undefined) return [{ ...problemAt(origin, nameOf(option), reason), severity: 'warning' }];
  throw new ConfigError(`--${option.flag} ${reason}`, [problemAt(origin, nameOf(option), reason)]);
}

function problemAt({ file, line }: Origin, subject: string, text: string): ConfigProblem {
  return errorProblem(text, { ...(file === null ? {} : { file }), line, subject });
}

function freezeSetting(setting: Setting): Setting {
  if (typeof setting.value === 'object') Object.freeze(setting.value);
  return Object.freeze(setting);
}
