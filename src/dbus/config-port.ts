/**
 * What the Config object asks of the service: the daemon's configuration as its files say it, and changing them.
 *
 *   key         a variable of /etc/sysconfig/docker: DOCKER_OPTS, DOCKER_LOG_LEVEL …
 *   option      an option of the daemon by its key in daemon.json: `log-level`, `insecure-registries` …
 *   revision    a digest of all configuration files: the lock of whoever reads first and writes later
 *   checkpoint  the files before a change; pending while the change waits for Confirm and goes back without it
 *
 * Story: an administrator far away reads `revision()`, sets DOCKER_OPTS with `rollbackAfterMs`, and loses the connection.
 * Nobody confirms, the files go back, the daemon reloads, and the connection works again; also when the daemon was killed
 * in between, for a pending checkpoint lies on disk.
 *
 * Whatever cannot be done throws an error that has its D-Bus name: NoSuchKey, InvalidConfig, ConfigChanged (read again),
 * ReadOnlyConfig, Busy (a change waits for Confirm), NotFound (no such checkpoint).
 */
import type { Variant } from './bus/exported.ts';

export interface ConfigKey {
  readonly key: string;
  readonly value: string;
  readonly default: string;
  /** YaST's words: `string`, `yesno`, `list(a,b)`, `integer(0:)` … */
  readonly type: string;
  /** The help text; where there is none, what the file says of the path. */
  readonly description: string;
  /** Place in YaST's tree. */
  readonly path: string;
  readonly serviceRestart: readonly string[];
  readonly serviceReload: readonly string[];
  readonly file: string;
  /** 0: the file does not have it. */
  readonly line: number;
  /** It has a value other than the empty one. */
  readonly isSet: boolean;
  readonly pendingRestart: boolean;
}

export interface ConfigOptionDescription {
  readonly name: string;
  /** D-Bus signature of its values. */
  readonly type: OptionSignature;
  readonly default: ConfigOptionValue;
  readonly minimum: number | null;
  readonly maximum: number | null;
  readonly choices: readonly string[];
  readonly reloadable: boolean;
  /** Taken for old configurations only. */
  readonly deprecated: boolean;
  /** May hold a password; masked wherever it is shown. */
  readonly secret: boolean;
  /** Why another value than the default is refused; empty when it is not. */
  readonly refused: string;
  /** The typed variable that sets it; empty when there is none. */
  readonly key: string;
  readonly help: string;
}

/** boolean, whole number, text, list, map. */
export type OptionSignature = 'b' | 'x' | 's' | 'as' | 'a{ss}';

export type ConfigOptionValue = boolean | number | string | readonly string[] | Readonly<Record<string, string>>;

export interface ConfigOption {
  readonly name: string;
  readonly type: OptionSignature;
  readonly value: ConfigOptionValue;
}

export interface EffectiveOption extends ConfigOption {
  readonly origin: 'default' | 'environment' | 'sysconfig' | 'daemon.json' | 'command-line';
}

export interface ConfigProblemReport {
  /** The key or option; empty when it is about a file. */
  readonly key: string;
  readonly severity: 'error' | 'warning';
  /** A stable word; `invalid-config` where there is none closer. */
  readonly code: string;
  readonly text: string;
}

/** Key or `options.NAME` → new value, as it came over the bus. */
export type ConfigChangeRequest = Readonly<Record<string, Variant>>;

export interface SetConfigOptions {
  readonly apply: 'none' | 'reload';
  /** Null: the change stays without being confirmed. */
  readonly rollbackAfterMs: number | null;
  /** Keep the files as they were, for Rollback. */
  readonly backup: boolean;
  /** Who asks. */
  readonly uid: number;
}

export interface SetConfigResult {
  readonly revision: string;
  /** Options whose new value needs a restart. */
  readonly restartNeeded: readonly string[];
  /** Empty when nothing was kept. */
  readonly checkpoint: string;
}

export interface ConfigBackup {
  readonly checkpoint: string;
  /** Since 1970. */
  readonly timeMs: number;
  readonly uid: number;
  /** Of the files that it holds. */
  readonly revision: string;
}

/** The files have changed, by whomever. */
export interface ConfigFilesChange {
  /** Keys with another value, or that came or went; none when only daemon.json changed. */
  readonly keys: readonly string[];
  readonly revision: string;
  readonly restartNeeded: boolean;
}

export interface ConfigPort {
  /** All that count; they exist or not. */
  readonly files: readonly string[];
  /** As of the last look at the files; cheap. */
  readonly revision: string;
  readonly pendingRestart: readonly string[];
  readonly isWritable: boolean;
  list(): readonly ConfigKey[];
  get(key: string): ConfigKey;
  describeOptions(): readonly ConfigOptionDescription[];
  /** Effective options as the files say it now, passwords masked. */
  getOptions(): readonly EffectiveOption[];
  parseOptions(text: string): {
    readonly options: readonly ConfigOption[];
    readonly problems: readonly ConfigProblemReport[];
  };
  formatOptions(options: Readonly<Record<string, Variant>>): string;
  validate(changes: ConfigChangeRequest): {
    readonly valid: boolean;
    readonly problems: readonly ConfigProblemReport[];
  };
  /** `revision`: what the caller read, or empty for whatever there is. */
  set(changes: ConfigChangeRequest, revision: string, options: SetConfigOptions): Promise<SetConfigResult>;
  unset(keys: readonly string[], revision: string, uid: number): Promise<SetConfigResult>;
  confirm(checkpoint: string): Promise<void>;
  /** Puts the files back, reloads, and returns the revision. */
  rollback(checkpoint: string, uid: number): Promise<string>;
  listBackups(): readonly ConfigBackup[];
  /** Null: the files are the same, but what a reload left to a restart is not. */
  onChange(listener: (change: ConfigFilesChange | null) => void): Disposable;
}
