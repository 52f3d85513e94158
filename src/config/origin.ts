/**
 * Where values come from. Layers, weakest first:
 *
 *   default        built in
 *   environment    what dockerd takes from its environment: HTTP_PROXY, DOCKER_CERT_PATH, DOCKER_TLS_VERIFY …
 *   variable       a typed variable (DOCKER_LOG_LEVEL) of /etc/sysconfig/docker
 *   file           daemon.json
 *   fragment       daemon.json.d/*.json
 *   sysconfig      a flag in DOCKER_NETWORK_OPTIONS or DOCKER_OPTS
 *   command-line   a flag of the process
 *
 * The last two are flags: what they say must not be in the files as well (dockerd's rule), unless `config-conflicts` says
 * otherwise. The weaker layers never conflict, they are only overridden.
 */
export type Layer = 'default' | 'environment' | 'variable' | 'file' | 'fragment' | 'sysconfig' | 'command-line';

/** One place that says something of an option. */
export interface Origin {
  readonly layer: Layer;
  /** The file; null for what is in none. */
  readonly file: string | null;
  /** Counted from 1; null where there are no lines. */
  readonly line: number | null;
  /** The variable, of the file or of the environment; null for what is in none. */
  readonly variable: string | null;
  /** As it is written there: a flag with its value, JSON, a variable's value. */
  readonly text: string;
}

export const BUILT_IN: Origin = Object.freeze({ layer: 'default', file: null, line: null, variable: null, text: '' });

/** `/etc/docker/daemon.json:3`, `/etc/sysconfig/docker:7 DOCKER_OPTS`, `$HTTP_PROXY`, `command line`, `default`. */
export function formatOrigin({ layer, file, line, variable }: Origin): string {
  if (file !== null) {
    const place = line === null ? file : `${file}:${String(line)}`;
    return variable === null ? place : `${place} ${variable}`;
  }
  if (variable !== null) return `$${variable}`;
  return layer === 'command-line' ? 'command line' : layer;
}

/** Something wrong with the configuration. */
export interface ConfigProblem {
  readonly severity: 'error' | 'warning';
  /** A stable word where the kind of problem has one: those of sysconfig/problems.ts. */
  readonly code?: string;
  readonly file: string | null;
  readonly line: number | null;
  /** Key, flag or variable that it is about; empty when it is about a file as a whole. */
  readonly subject: string;
  readonly text: string;
  /** What to do about it; empty when the text says it. */
  readonly cure: string;
}

/** `/etc/sysconfig/docker:7: DOCKER_OPTS: … …` */
export function formatProblem({ file, line, subject, text, cure }: ConfigProblem): string {
  const place = file === null ? '' : line === null ? `${file}: ` : `${file}:${String(line)}: `;
  return `${place}${subject === '' ? '' : `${subject}: `}${cure === '' ? text : `${text.replace(/\.$/, '')}. ${cure}`}`;
}
