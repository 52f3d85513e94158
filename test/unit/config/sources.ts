import { loadConfig, type Config, type ConfigSources } from '../../../src/config/config.ts';
import type { ConfigFiles } from '../../../src/config/files.ts';

/** Files by path, in memory. */
export function memoryFiles(contents: Readonly<Record<string, string>>): ConfigFiles {
  return {
    read: (path) => (Object.hasOwn(contents, path) ? Buffer.from(contents[path] ?? '') : null),
    list: (directory) =>
      Object.keys(contents)
        .filter((path) => path.startsWith(`${directory}/`))
        .map((path) => path.slice(directory.length + 1)),
  };
}

export const DAEMON_JSON = '/etc/docker/daemon.json';
export const SYSCONFIG = '/etc/sysconfig/docker';

/** What a case sets; all else is absent. */
export interface Given {
  /** Text of daemon.json; objects are written as JSON. */
  readonly json?: string | Readonly<Record<string, unknown>>;
  /** Text of the sysconfig file. */
  readonly sysconfig?: string;
  /** Fragments by name. */
  readonly fragments?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly argv?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

export function sourcesOf({ json, sysconfig, fragments = {}, argv = [], environment = {} }: Given): ConfigSources {
  const contents: Record<string, string> = {};
  if (json !== undefined) contents[DAEMON_JSON] = typeof json === 'string' ? json : JSON.stringify(json, null, 2);
  if (sysconfig !== undefined) contents[SYSCONFIG] = sysconfig;
  for (const [name, fragment] of Object.entries(fragments)) {
    contents[`${DAEMON_JSON}.d/${name}`] = JSON.stringify(fragment, null, 2);
  }
  return { argv, environment, version: '1.2.3', files: memoryFiles(contents) };
}

export function load(given: Given): Config {
  return loadConfig(sourcesOf(given));
}
