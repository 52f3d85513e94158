/**
 * What /etc/sysconfig/docker and the environment say: typed variables, DOCKER_NETWORK_OPTIONS and DOCKER_OPTS, and what
 * dockerd itself takes from its environment.
 *
 * A variable of the file counts before one of the environment: systemd hands the whole file on as environment, but only
 * as it was when the service started, and a reload must see what is written there now.
 */
import { homedir } from 'node:os';
import { pathErrorText } from '../base/errno-text.ts';
import { messageOf } from '../base/errors.ts';
import type { Assignment } from './assignment.ts';
import { checkValue } from './checks.ts';
import { ConfigError, errorProblem } from './config-error.ts';
import type { ConfigFiles } from './files.ts';
import { parseFlags } from './flags.ts';
import { OPTION_BY_FLAG, OPTIONS, type OptionDefinition, type OptionFlag, type OptionValue } from './options.ts';
import type { ConfigProblem, Layer, Origin } from './origin.ts';
import { parseSysconfig, splitWords } from './sysconfig.ts';
import { parseFlagValue, parseVariableValue } from './values.ts';

/** Variables that hold whole flags, in the order in which they stand on the command line. */
export const FLAG_VARIABLES = ['DOCKER_NETWORK_OPTIONS', 'DOCKER_OPTS'] as const;

/** What dockerd takes from its environment, here or in the file. */
export const DOCKERD_VARIABLES = [
  'DOCKER_CERT_PATH',
  'DOCKER_CONFIG',
  'DOCKER_DRIVER',
  'DOCKER_TLS_VERIFY',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'NO_PROXY',
] as const;

export type Environment = Readonly<Record<string, string | undefined>>;

/** Every variable that the daemon looks at, by name; null stands for one that is not set. */
export interface Variables {
  get(name: string): Variable | null;
  /** The environment without what came from the file: what stays true when the file changes. */
  readonly ownEnvironment: Environment;
  /** What is wrong with the file. */
  readonly problems: readonly ConfigProblem[];
}

export interface Variable {
  readonly name: string;
  readonly value: string;
  readonly file: string | null;
  readonly line: number | null;
}

/** Reads the sysconfig file. Throws ConfigError when it is there and cannot be read. */
export function readVariables(files: ConfigFiles, path: string, environment: Environment): Variables {
  const content = readSysconfig(files, path);
  const sysconfig =
    content === null ? null : parseSysconfig(content, { knownKeys: KNOWN_VARIABLES, wordKeys: WORD_VARIABLES });
  const inFile = sysconfig?.variables ?? new Map<string, { readonly value: string; readonly line: number }>();
  return {
    get: (name) => {
      const found = inFile.get(name);
      if (found !== undefined) return { name, value: found.value, file: path, line: found.line };
      const value = environment[name];
      return value === undefined ? null : { name, value, file: null, line: null };
    },
    ownEnvironment: Object.fromEntries(Object.entries(environment).filter(([name]) => !inFile.has(name))),
    get problems() {
      return (sysconfig?.problems ?? []).map(({ code, severity, line, key, text, cure }) => ({
        code,
        severity,
        file: path,
        line,
        subject: key,
        text,
        cure,
      }));
    },
  };
}

function readSysconfig(files: ConfigFiles, path: string): Buffer | null {
  try {
    return files.read(path);
  } catch (error) {
    const reason = pathErrorText('open', path, error);
    throw new ConfigError(`unable to configure the Docker daemon: ${reason}`, [errorProblem(reason, { file: path })]);
  }
}

/** Every variable that means something to the daemon. */
export const KNOWN_VARIABLES: readonly string[] = [
  ...OPTIONS.flatMap(({ variable }) => variable ?? []),
  ...FLAG_VARIABLES,
  ...DOCKERD_VARIABLES,
  ...DOCKERD_VARIABLES.filter((name) => name.endsWith('_PROXY')).map((name) => name.toLowerCase()),
];

/** Variables whose value is words. */
const WORD_VARIABLES: readonly string[] = [
  ...OPTIONS.flatMap(({ type, variable }) => (type === 'list' || type === 'map' ? (variable ?? []) : [])),
  ...FLAG_VARIABLES,
];

/** The typed variables. Empty ones say nothing: templates ship them so. */
export function typedAssignments(variables: Variables): readonly Assignment[] {
  return OPTIONS.flatMap((option) => {
    const variable = option.variable === undefined ? null : variables.get(option.variable);
    if (variable === null || variable.value.trim() === '') return [];
    return [{ option, value: typedValue(option, variable), origin: originOf(variable, 'variable') }];
  });
}

function typedValue(option: OptionDefinition, variable: Variable): OptionValue {
  const text = variable.value.trim();
  let reason: string | null;
  try {
    const value = parseVariableValue(option, text, splitWords(text).words);
    reason = checkValue(option, value);
    if (reason === null) return value;
  } catch (error) {
    reason = messageOf(error);
  }
  throw variableError(variable, reason);
}

/** The words of a variable that holds flags; none when it is not set. */
export function wordsOf(variable: Variable | null): readonly string[] {
  return variable === null ? [] : splitWords(variable.value).words;
}

/** Flags of DOCKER_NETWORK_OPTIONS and DOCKER_OPTS. */
export function flagVariableAssignments(variables: Variables): readonly Assignment[] {
  return FLAG_VARIABLES.flatMap((name) => {
    const variable = variables.get(name);
    if (variable === null) return [];
    const place = originOf(variable, 'sysconfig');
    try {
      const flags = parseFlags(wordsOf(variable));
      if (flags.configFile !== null || flags.validateOnly || flags.tearDown || flags.asked !== null) {
        throw new Error('--config-file, --validate, --tear-down, --help and --version belong on the command line');
      }
      return flags.given.map(({ option, value, text }) => ({
        option,
        value: parseFlagValue(option, value),
        origin: { ...place, text },
      }));
    } catch (error) {
      throw variableError(variable, messageOf(error), variables.problems);
    }
  });
}

/** What dockerd takes from the environment below all else. */
export function environmentAssignments(variables: Variables): readonly Assignment[] {
  const assignments: Assignment[] = [];
  const add = (flag: OptionFlag, value: OptionValue, variable: Variable): void => {
    const option = OPTION_BY_FLAG.get(flag);
    if (option === undefined) return;
    const reason = checkValue(option, value);
    if (reason !== null) throw variableError(variable, reason);
    assignments.push({ option, value, origin: originOf(variable, 'environment') });
  };
  for (const flag of ['http-proxy', 'https-proxy', 'no-proxy'] as const) {
    const name = flag.replace('-', '_');
    const variable = filled(variables, name.toUpperCase()) ?? filled(variables, name);
    if (variable !== null) add(flag, variable.value, variable);
  }
  const verify = filled(variables, 'DOCKER_TLS_VERIFY');
  if (verify !== null) add('tlsverify', true, verify);
  const certificates = filled(variables, 'DOCKER_CERT_PATH') ?? filled(variables, 'DOCKER_CONFIG');
  if (certificates !== null) {
    for (const [flag, name] of CERTIFICATES) add(flag, `${certificates.value}/${name}`, certificates);
  }
  return assignments;
}

/** $DOCKER_DRIVER, which in dockerd beats all else. */
export function driverAssignments(variables: Variables): readonly Assignment[] {
  const variable = filled(variables, 'DOCKER_DRIVER');
  const option = OPTION_BY_FLAG.get('storage-driver');
  if (variable === null || option === undefined) return [];
  const reason = checkValue(option, variable.value);
  if (reason !== null) throw variableError(variable, reason);
  return [{ option, value: variable.value, origin: originOf(variable, 'environment') }];
}

const CERTIFICATES = [
  ['tlscacert', 'ca.pem'],
  ['tlscert', 'cert.pem'],
  ['tlskey', 'key.pem'],
] as const;

/** `~` of a default is the home of the user that the daemon runs as. */
export function expandHome(path: string): string {
  return path.startsWith('~/') ? homedir() + path.slice(1) : path;
}

function filled(variables: Variables, name: string): Variable | null {
  const variable = variables.get(name);
  return variable === null || variable.value === '' ? null : variable;
}

function originOf({ name, value, file, line }: Variable, layer: Layer): Origin {
  return { layer, file, line, variable: name, text: value };
}

function variableError(
  { name, file, line }: Variable,
  reason: string,
  found: readonly ConfigProblem[] = [],
): ConfigError {
  const place = file === null ? `$${name}` : `${file}:${String(line)}: ${name}`;
  const related = found.filter(({ subject }) => subject === name);
  const cure = related.map(({ text, cure }) => `${text}. ${cure}`).join(' ');
  const problem = errorProblem(reason.split('\n')[0] ?? reason, {
    ...(file === null ? {} : { file }),
    line,
    subject: name,
    cure,
  });
  return new ConfigError(`unable to configure the Docker daemon: ${place}: ${reason}`, [problem]);
}
