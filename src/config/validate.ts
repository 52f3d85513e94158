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
    const config = loadConfig(sources);
    const wrong = config.problems.find(({ severity }) => severity === 'error');
    const refusal =
      wrong === undefined ? null : `unable to configure the Docker daemon: ${wrong.subject}: ${wrong.text}`;
    return { config, refusal, problems: config.problems };
  } catch (error) {
    if (error instanceof PrintAndExit) throw error;
    const refusal = messageOf(error);
    const problems = error instanceof ConfigError ? error.problems : [errorProblem(refusal.split('\n')[0] ?? refusal)];
    return { config: null, refusal, problems };
  }
}
