/** Schedules as objects. */
import { InternalError } from '../../base/errors.ts';
import type { Engine, ScheduleRun, ScheduleView } from '../../engine/index.ts';
import type { Dictionary } from '../bus/dictionary.ts';
import { done, variant, type Call, type ExportedInterface, type ObjectTree, type Variant } from '../bus/exported.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { interfaceName, namedPath, type PolkitAction } from '../names.ts';
import { timingChangeOf } from '../words/schedule-words.ts';
import { usecOf, usecOfSeconds } from '../bus/times.ts';

export interface MirrorSchedulesOptions {
  readonly engine: Pick<Engine, 'schedules'>;
  readonly tree: ObjectTree;
  readonly jobs: Jobs;
}

/** Puts every schedule into the tree and keeps it there as it is. */
export function mirrorSchedules(options: MirrorSchedulesOptions): Disposable {
  const { engine, tree } = options;
  const add = (name: string): void => {
    tree.add({ path: namedPath('schedule', name), interfaces: [interfaceOf(name, options)] });
  };
  const listening = engine.schedules.listen(({ kind, name }) => {
    switch (kind) {
      case 'added':
        add(name);
        return;
      case 'changed':
        tree.changed(namedPath('schedule', name));
        return;
      case 'removed':
        tree.remove(namedPath('schedule', name));
    }
  });
  for (const { name } of engine.schedules.list()) add(name);
  return listening;
}

function interfaceOf(name: string, { engine, jobs }: MirrorSchedulesOptions): ExportedInterface {
  const { schedules } = engine;
  // The object is announced as gone when the schedule is: until then its last values do.
  let last = schedules.get(name);
  const view = (): ScheduleView => {
    last = schedules.list().find((one) => one.name === name) ?? last;
    return last;
  };
  return {
    name: interfaceName('Schedule'),
    methods: {
      RunNow: async (call: Call) => {
        const schedule = schedules.get(name);
        const action = actionOf(schedule);
        // The XML names what prunes need; who may not touch containers shall not do so by a schedule.
        if (action !== 'prune') await call.authorize(action, detailsOf(schedule));
        return [runNow(schedule, call, { engine, jobs })];
      },
      Modify: async (_call: Call, cron: string, options: Dictionary) =>
        done(schedules.modify(name, { ...(cron === '' ? {} : { cron }), ...timingChangeOf(options) })),
      Remove: async () => done(schedules.remove(name)),
    },
    properties: () => propertiesOf(view()),
    polkitDetails: () => detailsOf(view()),
  };
}

function propertiesOf(view: ScheduleView): Readonly<Record<string, unknown>> {
  const { lastRun, nextRun } = view;
  return {
    Name: view.name,
    Cron: view.cron,
    TimeZone: view.timeZone,
    Operation: view.operation.kind,
    Enabled: view.enabled,
    Missed: view.missed,
    Overlap: view.overlap,
    RandomDelay: usecOfSeconds(view.randomDelaySeconds),
    Problem: view.problem ?? '',
    Running: view.isRunning,
    NextRun: nextRun === null ? 0n : usecOf(nextRun),
    LastRun: lastRun === null ? 0n : usecOf(lastRun.startedAt),
    LastResult: lastRun?.result ?? '',
    LastMessage: lastRun?.message ?? '',
    LastReclaimed: BigInt(lastRun?.reclaimedBytes ?? 0),
    Origin: view.origin,
  };
}

function detailsOf({ name, operation }: ScheduleView): Readonly<Record<string, string>> {
  return {
    schedule: name,
    scheduled: operation.kind,
    ...('container' in operation ? { container: operation.container } : {}),
    ...('reference' in operation ? { image: operation.reference } : {}),
  };
}

function actionOf({ operation }: ScheduleView): PolkitAction {
  switch (operation.kind) {
    case 'prune':
    case 'image-gc':
      return 'prune';
    case 'pull':
      return 'manage-images';
    case 'run-container':
    case 'restart-container':
      return 'manage-containers';
  }
}

function runNow(schedule: ScheduleView, call: Call, { engine, jobs }: Omit<MirrorSchedulesOptions, 'tree'>): string {
  const { name } = schedule;
  const details = detailsOf(schedule);
  const objects = [namedPath('schedule', name)];
  return jobs.start(
    { type: 'schedule', objects, call, action: actionOf(schedule), details, cancelable: true },
    async (job) => {
      const { signal } = job;
      const onProgress = (phase: string): void => job.report({ phase, done: 0, total: 0 });
      const run = await engine.schedules.runNow(name, { signal, onProgress });
      // What ended by our signal is the job's own matter.
      signal.throwIfAborted();
      if (run.result !== 'done') throw new InternalError(run.message);
      return resultOf(run);
    },
  );
}

function resultOf({ result, message, reclaimedBytes }: ScheduleRun): Readonly<Record<string, Variant>> {
  return {
    Result: variant('s', result),
    Message: variant('s', message),
    Reclaimed: variant('t', BigInt(reclaimedBytes)),
  };
}
