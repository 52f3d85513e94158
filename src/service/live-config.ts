import type { Config, ConfigProblem, ConfigSources, Origin, Setting } from '../config/config.ts';
import type { ConfigChange } from '../config/diff.ts';
import type { OptionFlag, ValueOf } from '../config/options.ts';

/**
 * The configuration that is in force: what the daemon started with, and since then what reloads changed. Whoever keeps
 * this one reads the new values from the moment of {@link replace} on.
 */
export class LiveConfig implements Config {
  #inForce: Config;

  constructor(start: Config) {
    this.#inForce = start;
  }

  /** What is in force now, as it will stay. */
  get snapshot(): Config {
    return this.#inForce;
  }

  replace(config: Config): void {
    this.#inForce = config;
  }

  get<Flag extends OptionFlag>(flag: Flag): ValueOf<Flag> {
    return this.#inForce.get(flag);
  }

  originOf(flag: OptionFlag): Origin {
    return this.#inForce.originOf(flag);
  }

  get settings(): readonly Setting[] {
    return this.#inForce.settings;
  }

  get problems(): readonly ConfigProblem[] {
    return this.#inForce.problems;
  }

  get sources(): ConfigSources {
    return this.#inForce.sources;
  }

  get configFile(): string {
    return this.#inForce.configFile;
  }

  get sysconfigFile(): string {
    return this.#inForce.sysconfigFile;
  }

  get validateOnly(): boolean {
    return this.#inForce.validateOnly;
  }

  get tearDown(): boolean {
    return this.#inForce.tearDown;
  }
}

/**
 * `next`, but for what only a restart can change: that keeps the value in force, so that each further reload tells of it
 * again.
 */
export function applicable(running: Config, next: Config, changes: readonly ConfigChange[]): Config {
  const kept = new Set<string>(changes.filter(({ reloadable }) => !reloadable).map(({ flag }) => flag));
  const before = running.settings.filter(({ option }) => kept.has(option.flag));
  // By value: a configuration that kept the one before it would in the end keep all of them.
  const byFlag = new Map([...next.settings, ...before].map((setting) => [setting.option.flag, setting]));
  const config: Config = {
    ...next,
    get: (flag) => byFlag.get(flag)?.value as never,
    originOf: (flag) => byFlag.get(flag)?.origin as never,
    settings: Object.freeze([...byFlag.values()]),
  };
  return Object.freeze(config);
}
