import { messageOf } from '../base/errors.ts';
import { loadConfig, type Config, type ConfigSources } from './config.ts';
import { ConfigError, errorProblem } from './config-error.ts';
import { PrintAndExit } from './help.ts';
import type { ConfigProblem } from './origin.ts';

/** What a daemon would make of these sources. */
export interface Verdict {
  /** Null when the daemon would refuse to start with it. */
  readonly config: Config | null;
  /** dockerd's text for the refusal; null when there is none. */
  readonly refusal: string | null;
  /** All that is wrong or odd: one `error` is enough to fail `--validate`. */
  readonly problems: readonly ConfigProblem[];
}

/** Loads, and tells what is wrong instead of throwing. Lets {@link PrintAndExit} through. */
export function validateConfig(sources: ConfigSources): Verdict {
  try {
    return verdictOn(loadConfig(sources));
  } catch (error) {
    return refusalFor(error);
  }
}

/** What is wrong with a configuration that could be loaded. */
export function verdictOn(config: Config): Verdict {
  const problems = [...config.problems, ...unprotectedHosts(config)];
  const wrong = problems.find(({ severity }) => severity === 'error');
  const refusal = wrong === undefined ? null : `unable to configure the Docker daemon: ${wrong.subject}: ${wrong.text}`;
  return { config, refusal, problems };
}

/** What loading threw, as a verdict. Throws {@link PrintAndExit} on. */
export function refusalFor(thrown: unknown): Verdict {
  if (thrown instanceof PrintAndExit) throw thrown;
  const refusal = messageOf(thrown);
  const problems = thrown instanceof ConfigError ? thrown.problems : [errorProblem(refusal.split('\n')[0] ?? refusal)];
  return { config: null, refusal, problems };
}

/**
 * Addresses on the network without client certificates: root for whoever reaches them. The daemon that listens there says
 * so itself, in dockerd's words.
 */
function unprotectedHosts(config: Config): readonly ConfigProblem[] {
  if (config.get('tlsverify')) return [];
  const { file, line } = config.originOf('host');
  return config
    .get('host')
    .filter((host) => host.startsWith('tcp://') || !host.includes('://'))
    .map((host) => ({
      severity: 'warning',
      file,
      line,
      subject: 'hosts',
      text: `${host} lets everybody who reaches it become root on this host`,
      cure: 'Set tlsverify, with tlscacert, tlscert and tlskey',
    }));
}
