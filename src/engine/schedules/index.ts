/**
 * The schedules room: what the engine does by the clock (types.ts has words and rules). It stands above prune and
 * containers, acts through their verbs, and keeps in the state file how far each schedule has come. node-cron reads
 * expressions; time comes from the Clock. Without schedules nothing is loaded and nothing wakes.
 */
import type { Clock, Timestamp } from '../../base/clock.ts';
import { ConflictError, InvalidArgumentError, messageOf, NotFoundError } from '../../base/errors.ts';
import type { ContainerId } from '../../base/ids.ts';
import type { Logger } from '../../base/logger.ts';
import { Mailbox } from '../../base/mailbox.ts';
import type { Containers, ContainerView } from '../containers/types.ts';
import type { EngineEvent, Events } from '../events/types.ts';
import type { Database } from '../state/database.ts';
import { createScheduleRows, type ScheduleRow, type ScheduleRows } from '../state/schedules.ts';
import { Alarm } from './alarm.ts';
import { timingOfLabels } from './labels.ts';
import { TimeZone } from './next-time.ts';
import type { OperationRooms } from './operations.ts';
import { RunReplaced } from './operations.ts';
import { decodeDefinition, decodeState, encodeDefinition, encodeState, type ScheduleState } from './record.ts';
import { EngineEnds, fieldsOf, Runner } from './runner.ts';
import { Schedule, type ReadTiming, type ScheduleSource } from './schedule.ts';
import type {
  RunOptions,
  ScheduleDefinition,
  ScheduleEvent,
  ScheduleOrigin,
  ScheduleRun,
  Schedules,
  ScheduleTiming,
  ScheduleView,
} from './types.ts';

export interface SchedulesDependencies {
  readonly database: Database;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: Pick<Events, 'listen' | 'publish'>;
  readonly rooms: OperationRooms & { readonly containers: Pick<Containers, 'list'> };
  /** 0 to 1, for random delays. */
  readonly random?: () => number;
}

/** The schedule that the configuration asks for. */
export interface ConfiguredSchedule {
  readonly origin: Extract<ScheduleOrigin, 'sysconfig' | 'daemon.json'>;
  readonly definition: ScheduleDefinition;
}

/** The room as the composition root sees it. */
export interface EngineSchedules extends Schedules, AsyncDisposable {
  /** Takes up what is stored, what labels ask for, and what the configuration asks for; to be called once. */
  recover(configured: readonly ConfiguredSchedule[]): Promise<void>;
  /** The configuration has changed. */
  configure(configured: readonly ConfiguredSchedule[]): Promise<void>;
  /** Whether there is anything to do by the clock. */
  hasWork(): boolean;
}

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.:-]{0,127}$/;
const LABEL_PREFIX = 'container-';
/** Names of the configuration's. */
const RESERVED: ReadonlySet<string> = new Set(['prune', 'image-gc']);

/** Makes the room. */
export function createSchedules(dependencies: SchedulesDependencies): EngineSchedules {
  return new ScheduleRoom(dependencies);
}

class ScheduleRoom implements EngineSchedules {
  readonly #dependencies: SchedulesDependencies;
  readonly #rows: ScheduleRows;
  readonly #runner: Runner;
  readonly #byName = new Map<string, Schedule>();
  readonly #alarm: Alarm;
  readonly #zones = new Map<string, TimeZone>();
  readonly #listeners = new Set<(event: ScheduleEvent) => void>();
  /** Changes come one after another: reading the first expression loads node-cron. */
  readonly #changes = new Mailbox();
  readonly #watching = new DisposableStack();
  #stored = new Map<string, ScheduleRow>();
  #isClosed = false;
  #isOver = false;

  constructor(dependencies: SchedulesDependencies) {
    const { database, clock, logger, rooms } = dependencies;
    this.#dependencies = dependencies;
    this.#rows = createScheduleRows(database);
    const changed = (schedule: Schedule): void => this.#changed(schedule);
    this.#runner = new Runner({ rooms, clock, logger, changed });
    const schedules = this.#byName;
    this.#alarm = new Alarm({ clock, random: this.#random, schedules, runner: this.#runner, changed });
  }

  async recover(configured: readonly ConfiguredSchedule[]): Promise<void> {
    const { events, rooms } = this.#dependencies;
    this.#stored = new Map(this.#rows.all().map((row) => [row.key, row]));
    this.#watching.use(events.listen((event) => this.#containerEvent(event)));
    for (const { key, doc } of this.#stored.values()) {
      if (doc === null) continue;
      await this.#enter({ key, origin: 'dbus', containerId: null, problem: null }, decodeDefinition(doc));
    }
    for (const view of rooms.containers.list()) await this.#enterContainer(view);
    await this.configure(configured);
    // What is left belongs to containers and settings that are gone.
    for (const key of this.#stored.keys()) this.#rows.delete(key);
    this.#stored.clear();
  }

  configure(configured: readonly ConfiguredSchedule[]): Promise<void> {
    return this.#changes.run(async () => {
      const wanted = new Set(configured.map(({ definition }) => definition.name));
      for (const schedule of [...this.#byName.values()]) {
        const { origin } = schedule.source;
        const isOurs = origin === 'sysconfig' || origin === 'daemon.json';
        const same = configured.some((one) => one.definition.name === schedule.name && one.origin === origin);
        if (isOurs && !same) this.#drop(schedule, { keepRow: wanted.has(schedule.name) });
      }
      for (const { origin, definition } of configured) {
        const present = this.#byName.get(definition.name);
        const source = { key: definition.name, origin, containerId: null, problem: null };
        if (present === undefined) await this.#enter(source, definition);
        else await this.#define(present, definition);
      }
    });
  }

  list(): readonly ScheduleView[] {
    return [...this.#byName.values()].map((one) => one.view()).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  get(name: string): ScheduleView {
    return this.#named(name).view();
  }

  add(definition: ScheduleDefinition): Promise<ScheduleView> {
    return this.#changes.run(async () => {
      const { name } = definition;
      if (!NAME.test(name)) throw new InvalidArgumentError(`invalid schedule name "${name}"`);
      if (RESERVED.has(name) || name.startsWith(LABEL_PREFIX)) {
        throw new InvalidArgumentError(`the schedule name "${name}" is kept for the configuration and for labels`);
      }
      if (this.#byName.has(name)) throw new ConflictError(`schedule ${name} exists already`);
      await this.#check(definition);
      const source: ScheduleSource = { key: `dbus:${name}`, origin: 'dbus', containerId: null, problem: null };
      return (await this.#enter(source, definition)).view();
    });
  }

  modify(name: string, change: Partial<ScheduleTiming>): Promise<ScheduleView> {
    return this.#changes.run(async () => {
      const schedule = this.#ownNamed(name);
      const definition = { ...schedule.definition, ...change };
      await this.#check(definition);
      await this.#define(schedule, definition);
      return schedule.view();
    });
  }

  async remove(name: string): Promise<void> {
    const run = await this.#changes.run(() => {
      const schedule = this.#ownNamed(name);
      const under = schedule.run;
      this.#drop(schedule, { keepRow: false });
      return under;
    });
    // Not among the changes: to stop a container takes its time, and other schedules need not wait for it.
    await run?.ended;
  }

  async runNow(name: string, options: RunOptions = {}): Promise<ScheduleRun> {
    const schedule = this.#named(name);
    if (schedule.run !== null) throw new ConflictError(`schedule ${name} is already running`);
    const run = await this.#runner.start(schedule, options);
    if (run === null) throw new ConflictError(`schedule ${name} is already running: its container runs`);
    return run;
  }

  listen(listener: (event: ScheduleEvent) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  hasWork(): boolean {
    return [...this.#byName.values()].some(({ dueMs, run }) => dueMs !== null || run !== null);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#watching.dispose();
    this.#alarm[Symbol.dispose]();
    await this.#changes.idle();
    for (const schedule of this.#byName.values()) {
      schedule.isQueued = false;
      schedule.run?.abort.abort(new EngineEnds());
    }
    // A run that ends by itself from now on may find the state file closed; the next start finds it begun.
    this.#isOver = true;
  }

  /** Makes a schedule of a definition, with the state that is stored under its key. */
  async #enter(source: ScheduleSource, definition: ScheduleDefinition): Promise<Schedule> {
    const row = this.#stored.get(source.key);
    this.#stored.delete(source.key);
    const state = row === undefined ? null : stateOf(row);
    const schedule = new Schedule(source, definition, state, this.#dependencies.clock);
    schedule.define(definition, await this.#reader(), this.#dependencies.clock);
    if (this.#isClosed) return schedule;
    this.#byName.set(schedule.name, schedule);
    const { runningSince } = schedule.state;
    if (runningSince !== null) this.#takeUp(schedule, runningSince);
    this.#write(schedule);
    this.#tell('added', schedule.name);
    this.#warnOfProblem(schedule);
    this.#alarm.set();
    return schedule;
  }

  async #define(schedule: Schedule, definition: ScheduleDefinition): Promise<void> {
    schedule.define(definition, await this.#reader(), this.#dependencies.clock);
    this.#warnOfProblem(schedule);
    schedule.plan(this.#random);
    this.#changed(schedule);
    this.#alarm.set();
  }

  /** A run that the engine before this one began: a container's goes on, anything else ended with that engine. */
  #takeUp(schedule: Schedule, since: Timestamp): void {
    if (schedule.definition.operation.kind === 'run-container') {
      void this.#runner.start(schedule, { resumedSince: since });
      return;
    }
    const endedAt = this.#dependencies.clock.now();
    const message = 'the engine ended during the run';
    const lastRun: ScheduleRun = { startedAt: since, endedAt, result: 'interrupted', message, reclaimedBytes: 0 };
    schedule.state = { ...schedule.state, runningSince: null, lastRun };
  }

  #drop(schedule: Schedule, { keepRow }: { readonly keepRow: boolean }): void {
    const { key } = schedule.source;
    this.#byName.delete(schedule.name);
    schedule.isQueued = false;
    schedule.run?.abort.abort(keepRow ? new EngineEnds() : new RunReplaced());
    if (keepRow) this.#stored.set(key, { key, doc: null, state: encodeState(schedule.state) });
    else this.#rows.delete(key);
    this.#tell('removed', schedule.name);
    this.#alarm.set();
  }

  #containerEvent({ type, action, actorId }: EngineEvent): void {
    if (type !== 'container' || (action !== 'create' && action !== 'destroy' && action !== 'rename')) return;
    const id = actorId as ContainerId;
    void this.#changes
      .run(async () => {
        const present = [...this.#byName.values()].find(({ source }) => source.containerId === id);
        // A new name is a new object; how far it has come stays with the container.
        if (present !== undefined) this.#drop(present, { keepRow: action === 'rename' });
        const view = action === 'destroy' ? null : this.#viewOf(id);
        if (view !== null) await this.#enterContainer(view);
      })
      .catch((error: unknown) => {
        this.#dependencies.logger.error('a schedule could not be made', { containerId: id, reason: messageOf(error) });
      });
  }

  #viewOf(id: ContainerId): ContainerView | null {
    try {
      return this.#dependencies.rooms.containers.get(id);
    } catch (error) {
      // Removed since the event.
      if (error instanceof NotFoundError) return null;
      throw error;
    }
  }

  async #enterContainer({ id, name, spec }: ContainerView): Promise<void> {
    const asked = timingOfLabels(spec.labels);
    if (asked === null) return;
    const source: ScheduleSource = {
      key: `container:${id}`,
      origin: 'label',
      containerId: id,
      problem: asked.problem,
    };
    const operation = { kind: 'run-container', container: id } as const;
    await this.#enter(source, { ...asked.timing, name: `${LABEL_PREFIX}${name}`, operation });
  }

  #named(name: string): Schedule {
    const schedule = this.#byName.get(name);
    if (schedule === undefined) throw new NotFoundError(`No such schedule: ${name}`);
    return schedule;
  }

  #ownNamed(name: string): Schedule {
    const schedule = this.#named(name);
    const { origin } = schedule.source;
    if (origin === 'dbus') return schedule;
    const where = origin === 'label' ? 'a label of its container' : `the configuration (${origin})`;
    throw new ConflictError(`schedule ${name} follows ${where}: change it there`);
  }

  async #check(definition: ScheduleDefinition): Promise<void> {
    const { clock } = this.#dependencies;
    const source: ScheduleSource = { key: '', origin: 'dbus', containerId: null, problem: null };
    const trial = new Schedule(source, definition, null, clock);
    trial.define(definition, await this.#reader(), clock);
    if (trial.problem !== null) throw new InvalidArgumentError(trial.problem);
    if (!(definition.randomDelaySeconds >= 0)) throw new InvalidArgumentError('the random delay is negative');
  }

  #warnOfProblem(schedule: Schedule): void {
    const { problem, source } = schedule;
    if (problem === null) return;
    const { logger, events } = this.#dependencies;
    logger.warn(`schedule ${schedule.name} never runs: ${problem}`, {
      ...fieldsOf(schedule),
      message: 'schedule-failed',
      outcome: 'invalid',
    });
    if (source.containerId === null) return;
    events.publish({
      type: 'container',
      action: 'schedule_invalid',
      actorId: source.containerId,
      attributes: { name: schedule.name.slice(LABEL_PREFIX.length), error: problem },
    });
  }

  async #reader(): Promise<ReadTiming> {
    const { parseCron } = await import('./cron.ts');
    return ({ cron, timeZone }) => ({ pattern: parseCron(cron), zone: this.#zoneOf(timeZone) });
  }

  /** One for all schedules: each is 26 KB. */
  #zoneOf(name: string): TimeZone {
    const zone = this.#zones.get(name) ?? new TimeZone(name);
    this.#zones.set(name, zone);
    return zone;
  }

  get #random(): () => number {
    return this.#dependencies.random ?? Math.random;
  }

  /** Written down and told, as long as it is one of ours. */
  #changed(schedule: Schedule): void {
    if (this.#isOver || this.#byName.get(schedule.name) !== schedule) return;
    this.#write(schedule);
    this.#tell('changed', schedule.name);
  }

  #write({ source, definition, state }: Schedule): void {
    const doc = source.origin === 'dbus' ? encodeDefinition(definition) : null;
    this.#rows.put({ key: source.key, doc, state: encodeState(state) });
  }

  #tell(kind: ScheduleEvent['kind'], name: string): void {
    for (const listener of [...this.#listeners]) listener({ kind, name });
  }
}

/** A state that cannot be read counts from now. */
function stateOf({ state }: ScheduleRow): ScheduleState | null {
  try {
    return decodeState(state);
  } catch {
    return null;
  }
}
