/**
 * The configuration files as something that can be read, proved and changed while the daemon runs: the D-Bus front's
 * ConfigPort. Only the sysconfig file is ever written; daemon.json is the administrator's.
 *
 * A change goes: request → plan (which variables) → edit in memory → the whole configuration loaded from the edited text,
 * as at a start → backup → pending checkpoint, when it is to go back without Confirm → the file replaced at once →
 * reload. What fails leaves the files as they were. One change at a time.
 */
import type { Clock } from '../base/clock.ts';
import { errnoCodeOf, messageOf } from '../base/errors.ts';
import { pathErrorText } from '../base/errno-text.ts';
import { KeyedLock } from '../base/keyed-lock.ts';
import type { Logger } from '../base/logger.ts';
import type { Config, ConfigProblem } from '../config/config.ts';
import { proposedFiles } from '../config/files.ts';
import { editSysconfig, type FileEffects } from '../config/sysconfig-editing.ts';
import { validateConfig } from '../config/validate.ts';
import type {
  ConfigBackup,
  ConfigChangeRequest,
  ConfigFilesChange,
  ConfigKey,
  ConfigPort,
  ConfigProblemReport,
  EffectiveOption,
  SetConfigOptions,
  SetConfigResult,
} from '../dbus/config-port.ts';
import { BusError, engineErrorName, namedError } from '../dbus/bus/errors.ts';
import { BackupStore, digestOf, type Backup } from './config-editor/backups.ts';
import { Countdown } from './config-editor/countdown.ts';
import { effectiveOptions, keysOf } from './config-editor/describe.ts';
import { formatOptions, parseOptions } from './config-editor/flag-text.ts';
import { changedKeys, filesOf, lookAt, type Look } from './config-editor/look.ts';
import { describeOptions } from './config-editor/option-values.ts';
import { planChanges, planRemovals, type Present } from './config-editor/plan.ts';
import { refusalText, reportOf } from './config-editor/report.ts';
import { putContent, restore } from './config-editor/restore.ts';
import { watchConfigFiles } from './config-editor/watch.ts';

export interface ConfigEditorOptions {
  /** What is in force: the start's values for all that only a restart changes. */
  readonly running: () => Config;
  /** Reads the files again and applies them; throws what makes them unfit, and nothing has changed then. */
  readonly reload: () => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly backupDirectory: string;
  readonly effects?: FileEffects;
}

type Plan = (present: Present) => ReadonlyMap<string, string | null>;

export class ConfigEditor implements ConfigPort, Disposable {
  readonly #options: ConfigEditorOptions;
  readonly #store: BackupStore;
  readonly #lock = new KeyedLock<'change'>();
  readonly #listeners = new Set<(change: ConfigFilesChange | null) => void>();
  readonly #watch: Disposable;
  readonly #countdown: Countdown;
  #look: Look;

  /** Looks at the files, and takes up a change that waits for Confirm since before the daemon started. */
  constructor(options: ConfigEditorOptions) {
    this.#options = options;
    this.#store = new BackupStore(options.backupDirectory);
    this.#look = lookAt(this.#options.running());
    this.#watch = watchConfigFiles(options.running(), options.clock, () => this.refresh());
    const { clock, logger } = options;
    this.#countdown = new Countdown({ store: this.#store, clock, logger, expire: (one) => this.#expire(one) });
    this.#countdown.start();
  }

  get files(): readonly string[] {
    const { sysconfigFile, configFile } = this.#options.running();
    return [sysconfigFile, configFile, `${configFile}.d`];
  }

  get revision(): string {
    return this.#look.revision;
  }

  get pendingRestart(): readonly string[] {
    return this.#look.pending.map(({ key }) => key);
  }

  get isWritable(): boolean {
    return this.#look.isWritable;
  }

  /** What is wrong with the files as they are now. */
  get problems(): readonly ConfigProblem[] {
    return this.#look.verdict.problems;
  }

  list(): readonly ConfigKey[] {
    const { sysconfig, pending } = this.refresh();
    return keysOf(this.#file, sysconfig, pending);
  }

  get(name: string): ConfigKey {
    const found = this.list().find(({ key }) => key === name);
    if (found === undefined) throw namedError('NoSuchKey', `no such key: ${name}`);
    return found;
  }

  readonly describeOptions = describeOptions;
  readonly parseOptions = parseOptions;
  readonly formatOptions = formatOptions;

  getOptions(): readonly EffectiveOption[] {
    const { verdict } = this.refresh();
    if (verdict.config === null) throw namedError('InvalidConfig', verdict.refusal ?? '');
    return effectiveOptions(verdict.config);
  }

  validate(changes: ConfigChangeRequest): {
    readonly valid: boolean;
    readonly problems: readonly ConfigProblemReport[];
  } {
    const look = this.refresh();
    try {
      const { verdict, objections } = this.#prove(look, (present) => planChanges(present, changes));
      return { valid: objections.length === 0, problems: verdict.problems.map(reportOf) };
    } catch (error) {
      if (!(error instanceof BusError) || error.busName !== engineErrorName('InvalidConfig')) throw error;
      const [key = '', ...others] = Object.keys(changes);
      const report = { severity: 'error', code: 'invalid-config', text: error.message } as const;
      return { valid: false, problems: [{ key: others.length === 0 ? key : '', ...report }] };
    }
  }

  set(changes: ConfigChangeRequest, revision: string, options: SetConfigOptions): Promise<SetConfigResult> {
    return this.#change((present) => planChanges(present, changes), revision, options);
  }

  unset(keys: readonly string[], revision: string, uid: number): Promise<SetConfigResult> {
    const options = { apply: 'none', rollbackAfterMs: null, backup: true, uid } as const;
    return this.#change((present) => planRemovals(present, keys), revision, options);
  }

  confirm(checkpoint: string): Promise<void> {
    return this.#lock.hold('change', () => {
      if (this.#store.pending()?.checkpoint !== checkpoint) {
        throw namedError('NotFound', `no change with the checkpoint ${checkpoint} waits for confirmation`);
      }
      this.#store.clearPending();
      this.#countdown.stop();
      return Promise.resolve();
    });
  }

  rollback(checkpoint: string, uid: number): Promise<string> {
    return this.#lock.hold('change', async () => {
      const backup = this.#store.load(checkpoint);
      if (backup === null) throw namedError('NotFound', `no such checkpoint: ${checkpoint}`);
      await this.#rollBackTo(backup, uid);
      return this.#look.revision;
    });
  }

  listBackups(): readonly ConfigBackup[] {
    return this.#store.list();
  }

  onChange(listener: (change: ConfigFilesChange | null) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** A change waits for Confirm: the daemon must be there to undo it. */
  get isWaiting(): boolean {
    return this.#countdown.isRunning;
  }

  /** Looks at the files anew and tells the listeners what is different; also to be called after each reload. */
  refresh(): Look {
    const before = this.#look;
    const now = lookAt(this.#options.running());
    this.#look = now;
    const hasNewFiles = now.revision !== before.revision;
    const facts = ({ isWritable, pending }: Look): string =>
      JSON.stringify([isWritable, pending.map(({ key }) => key)]);
    if (!hasNewFiles && facts(now) === facts(before)) return now;
    const change = hasNewFiles
      ? { keys: changedKeys(before, now), revision: now.revision, restartNeeded: now.pending.length > 0 }
      : null;
    for (const listener of this.#listeners) listener(change);
    return now;
  }

  /** A change that waits for Confirm goes on waiting: the next start takes it up. */
  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
    this.#countdown[Symbol.dispose]();
    this.#listeners.clear();
  }

  get #file(): string {
    return this.#options.running().sysconfigFile;
  }

  #nowMs(): number {
    return Number(this.#options.clock.now() / 1_000_000n);
  }

  /** The file after a plan, and what the daemon would make of it. */
  #prove({ content, sysconfig, verdict: present }: Look, makePlan: Plan) {
    const values = new Map([...sysconfig.variables].map(([name, { value }]) => [name, value]));
    const plan = makePlan({ values, config: present.config });
    const before = content ?? Buffer.alloc(0);
    const edited = edit(this.#file, before, plan);
    const running = this.#options.running();
    const files = proposedFiles(new Map([[this.#file, edited]]), filesOf(running));
    const verdict = validateConfig({ ...running.sources, files });
    const touched = verdict.problems.filter(({ severity, subject }) => severity === 'error' && plan.has(subject));
    const objections =
      verdict.config === null ? verdict.problems.filter(({ severity }) => severity === 'error') : touched;
    return { edited, verdict, objections, isSame: edited.equals(before) };
  }

  #change(makePlan: Plan, revision: string, options: SetConfigOptions): Promise<SetConfigResult> {
    return this.#lock.hold('change', async () => {
      const look = this.refresh();
      if (revision !== '' && revision !== look.revision) {
        throw namedError('ConfigChanged', 'the configuration has changed since it was read: read it again');
      }
      const pending = this.#store.pending();
      if (pending !== null) {
        throw namedError('Busy', `the change with the checkpoint ${pending.checkpoint} waits for Confirm or Rollback`);
      }
      const { edited, verdict, objections, isSame } = this.#prove(look, makePlan);
      if (objections.length > 0) throw namedError('InvalidConfig', refusalText(verdict, objections));
      if (isSame) return { revision: look.revision, restartNeeded: this.pendingRestart, checkpoint: '' };
      const checkpoint = this.#keep(look, edited, options);
      await this.#put(look, edited, checkpoint, options);
      return { revision: this.#look.revision, restartNeeded: this.pendingRestart, checkpoint };
    });
  }

  /** Backup and pending checkpoint, before anything is written. */
  #keep(look: Look, edited: Buffer, { rollbackAfterMs, backup, uid }: SetConfigOptions): string {
    if (!backup && rollbackAfterMs === null) return '';
    const nowMs = this.#nowMs();
    const { revision, content } = look;
    let checkpoint = '';
    try {
      checkpoint = this.#store.save({ timeMs: nowMs, uid, revision, path: this.#file, content });
      if (rollbackAfterMs !== null) {
        const deadlineMs = nowMs + rollbackAfterMs;
        this.#store.setPending({
          checkpoint,
          deadlineMs,
          durationMs: rollbackAfterMs,
          writtenDigest: digestOf(edited),
        });
      }
      return checkpoint;
    } catch (error) {
      this.#forget(checkpoint);
      throw namedError('Failed', `nothing was changed: ${pathErrorText('keep', this.#file, error)}`);
    }
  }

  /** Takes back what {@link #keep} did for a change that did not come about. */
  #forget(checkpoint: string): void {
    if (checkpoint === '') return;
    if (this.#store.pending()?.checkpoint === checkpoint) this.#store.clearPending();
    this.#store.remove(checkpoint);
  }

  async #put(look: Look, edited: Buffer, checkpoint: string, { apply, uid }: SetConfigOptions): Promise<void> {
    const { logger, reload } = this.#options;
    try {
      this.#write(edited);
      logger.info('configuration changed over D-Bus', { message: 'config-written', uid, file: this.#file, checkpoint });
      if (apply === 'reload') await reload().catch((error: unknown) => this.#refuseUnfit(error));
    } catch (error) {
      this.#putBack(look, edited, uid);
      this.#forget(checkpoint);
      this.refresh();
      throw error;
    }
    this.refresh();
    this.#countdown.start();
  }

  #refuseUnfit(error: unknown): never {
    throw namedError('InvalidConfig', `the change was undone: ${messageOf(error)}`);
  }

  /** The file as it was, unless it is that already; a failure is logged, for another error is on its way. */
  #putBack({ content, revision }: Look, edited: Buffer, uid: number): void {
    const before = { checkpoint: '', timeMs: this.#nowMs(), uid, revision, path: this.#file, content };
    try {
      this.#restore(before, uid, digestOf(edited));
    } catch (error) {
      this.#options.logger.error('cannot put the configuration back', { reason: messageOf(error) });
    }
  }

  /** `writtenDigest`: of what we wrote; anything else in the file is somebody's work and kept as a backup. */
  #restore(backup: Backup, uid: number, writtenDigest: string | null): void {
    const { effects } = this.#options;
    const options = { nowMs: this.#nowMs(), uid, revision: this.#look.revision, writtenDigest };
    restore(this.#store, backup, { ...options, ...(effects === undefined ? {} : { effects }) });
  }

  #write(content: Buffer): void {
    try {
      putContent(this.#file, content, this.#options.effects);
    } catch (error) {
      const text = pathErrorText('write', this.#file, error);
      const isReadOnly = ['EROFS', 'EACCES', 'EPERM'].includes(errnoCodeOf(error) ?? '');
      throw namedError(isReadOnly ? 'ReadOnlyConfig' : 'Failed', text);
    }
  }

  async #rollBackTo(backup: Backup, uid: number): Promise<void> {
    const { logger } = this.#options;
    const pending = this.#store.pending();
    try {
      this.#restore(backup, uid, pending?.checkpoint === backup.checkpoint ? pending.writtenDigest : null);
    } catch (error) {
      throw namedError('ReadOnlyConfig', pathErrorText('write', backup.path, error));
    }
    // Whatever waited has been overtaken.
    this.#store.clearPending();
    this.#countdown.stop();
    const { path: file, checkpoint } = backup;
    logger.info('configuration put back', { message: 'config-rolled-back', uid, file, checkpoint });
    try {
      await this.#options.reload();
    } catch (error) {
      logger.error('reload after putting the configuration back failed', { reason: messageOf(error) });
    }
    this.refresh();
  }

  async #expire(checkpoint: string): Promise<void> {
    await this.#lock.hold('change', async () => {
      if (this.#store.pending()?.checkpoint !== checkpoint) return;
      const backup = this.#store.load(checkpoint);
      if (backup === null) throw new Error(`the checkpoint ${checkpoint} is gone`);
      this.#options.logger.warn('nobody confirmed the change of the configuration in time', { checkpoint });
      await this.#rollBackTo(backup, 0);
    });
  }
}

function edit(file: string, before: Buffer, plan: ReadonlyMap<string, string | null>): Buffer {
  try {
    return editSysconfig(before, plan);
  } catch (error) {
    throw namedError('InvalidConfig', `${file}: ${messageOf(error)}`);
  }
}
