import type { Clock, Timestamp } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { perform, RunLeftOut, RunReplaced, type OperationRooms } from './operations.ts';
import type { Schedule } from './schedule.ts';
import type { RunOptions, ScheduleRun } from './types.ts';

/** What runs need of their surroundings. */
export interface RunnerGround {
  readonly rooms: OperationRooms;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Writes the schedule's state down and tells of the change. */
  readonly changed: (schedule: Schedule) => void;
}

/** The engine ends: what runs goes on, and we let go of it. */
export class EngineEnds extends Error {
  constructor() {
    super('the engine ends');
  }
}

type Attempt = RunOptions & { readonly resumedSince?: Timestamp };

/** Does what schedules want, one run of each at a time, and writes down what came of it. */
export class Runner {
  readonly #ground: RunnerGround;

  constructor(ground: RunnerGround) {
    this.#ground = ground;
  }

  /** A due time has come. */
  due(schedule: Schedule): void {
    if (schedule.run === null) {
      void this.start(schedule);
      return;
    }
    switch (schedule.definition.overlap) {
      case 'skip':
        this.leaveOut(schedule, 'the run before is still under way');
        return;
      case 'queue':
        schedule.isQueued = true;
        return;
      case 'replace':
        schedule.isQueued = true;
        schedule.run.abort.abort(new RunReplaced());
    }
  }

  /** Says that a run does not take place. */
  leaveOut(schedule: Schedule, reason: string): void {
    this.#ground.logger.info(`schedule ${schedule.name}: a run was left out: ${reason}`, {
      ...fieldsOf(schedule),
      message: 'schedule-skipped',
      outcome: 'skipped',
      reason,
    });
  }

  /** One run, to its end. Never rejects; null when it was left out after all. */
  start(schedule: Schedule, options: Attempt = {}): Promise<ScheduleRun | null> {
    const abort = new AbortController();
    const follow = (): void => abort.abort(options.signal?.reason);
    options.signal?.addEventListener('abort', follow, { once: true });
    if (options.signal?.aborted === true) follow();
    const startedAt = options.resumedSince ?? this.#ground.clock.now();
    schedule.state = { ...schedule.state, runningSince: startedAt };
    const ended = this.#run(schedule, startedAt, abort.signal, options).finally(() => {
      options.signal?.removeEventListener('abort', follow);
    });
    schedule.run = { abort, ended };
    this.#ground.changed(schedule);
    return ended;
  }

  async #run(
    schedule: Schedule,
    startedAt: Timestamp,
    signal: AbortSignal,
    { onProgress = () => undefined, resumedSince }: Attempt,
  ): Promise<ScheduleRun | null> {
    // The caller has noted the run before anything can come of it.
    await Promise.resolve();
    const { operation, overlap } = schedule.definition;
    const runOf = (result: ScheduleRun['result'], message: string, reclaimedBytes = 0): ScheduleRun => {
      return { startedAt, endedAt: this.#ground.clock.now(), result, message, reclaimedBytes };
    };
    let run: ScheduleRun | null;
    try {
      const how = { overlap, signal, onProgress, resumed: resumedSince !== undefined };
      const { message, reclaimedBytes } = await perform(this.#ground.rooms, operation, how);
      run = runOf('done', message, reclaimedBytes);
    } catch (error) {
      if (signal.reason instanceof EngineEnds) return null;
      run = error instanceof RunLeftOut ? null : runOf(signal.aborted ? 'canceled' : 'failed', messageOf(error));
      if (run === null) this.leaveOut(schedule, messageOf(error));
    }
    this.#finish(schedule, run);
    return run;
  }

  #finish(schedule: Schedule, run: ScheduleRun | null): void {
    schedule.run = null;
    schedule.state = { ...schedule.state, runningSince: null, ...(run === null ? {} : { lastRun: run }) };
    if (run !== null) this.#log(schedule, run);
    this.#ground.changed(schedule);
    if (!schedule.isQueued) return;
    schedule.isQueued = false;
    void this.start(schedule);
  }

  #log(schedule: Schedule, { result, message, reclaimedBytes, startedAt, endedAt }: ScheduleRun): void {
    const { logger } = this.#ground;
    const fields = {
      ...fieldsOf(schedule),
      outcome: result,
      durationMs: Number((endedAt - startedAt) / 1_000_000n),
      ...(['prune', 'image-gc'].includes(schedule.definition.operation.kind) ? { reclaimedBytes } : {}),
    };
    const text = `schedule ${schedule.name}: ${result}${message === '' ? '' : `: ${message}`}`;
    if (result === 'done') logger.info(text, { ...fields, message: 'schedule-run' });
    else logger.warn(text, { ...fields, message: 'schedule-failed' });
  }
}

/** What each line about a schedule carries. */
export function fieldsOf(schedule: Schedule): Readonly<Record<string, string>> {
  const { definition, source } = schedule;
  const { operation } = definition;
  const container = 'container' in operation ? operation.container : null;
  return {
    schedule: schedule.name,
    operation: operation.kind,
    ...(source.containerId === null
      ? {}
      : { containerId: source.containerId, containerName: schedule.name.replace(/^container-/, '') }),
    ...(source.containerId === null && container !== null ? { containerName: container } : {}),
  };
}
