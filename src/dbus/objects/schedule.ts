/** Schedules as objects: when each runs next, how its last run ended. */
import type { Engine, ScheduleRun, ScheduleView } from '../../engine/index.ts';
import type { Dictionary } from '../dictionary.ts';
import { namedError } from '../errors.ts';
import { variant, type Call, type ExportedInterface, type ObjectTree, type Variant } from '../exported.ts';
import type { Jobs } from '../jobs.ts';
import { interfaceName, namedPath, type PolkitAction } from '../names.ts';
import { timingChangeOf } from '../schedule-words.ts';

export interface MirrorSchedulesOptions {
  readonly engine: Pick<Engine, 'schedules'>;
  readonly tree: ObjectTree;
  readonly jobs: Jobs;
}

/** Puts every schedule into the tree and keeps it there as it is. */
export function mirrorSchedules(options: MirrorSchedulesOptions): Disposable {
  const { engine, tree } = options;
  const add = ({ name }: ScheduleView): void => {
    tree.add({ path: namedPath('schedule', name), interfaces: [interfaceOf(name, options)] });
  };
  const listening = engine.schedules.listen(({ kind, name }) => {
    const path = namedPath('schedule', name);
    if (kind === 'added') add(engine.schedules.get(name));
    else if (kind === 'removed') tree.remove(path);
    else tree.changed(path);
  });
  for (const view of engine.schedules.list()) add(view);
  return listening;
}

function interfaceOf(name: string, options: MirrorSchedulesOptions): ExportedInterface {
  const { engine, jobs } = options;
  const view = (): ScheduleView => engine.schedules.get(name);
  return {
    name: interfaceName('Schedule'),
    methods: {
      RunNow: async (call: Call) => {
        const details = detailsOf(view());
        const action = ACTIONS[view().operation.kind];
        // The XML's action is for prunes: whoever may prune may not therefore start containers.
        if (action !== 'prune' && call.uid !== 0) await call.authorize(action, details);
        const objects = [namedPath('schedule', name)];
        return [
          jobs.start({ type: 'schedule', objects, call, action, details, cancelable: true }, async (job) =>
            resultOf(
              await engine.schedules.runNow(name, {
                signal: job.signal,
                onProgress: (phase) => job.report({ phase, done: 0, total: 0 }),
              }),
              job.signal,
            ),
          ),
        ];
      },
      Modify: async (_call: Call, cron: string, given: Dictionary) => {
        await engine.schedules.modify(name, { ...(cron === '' ? {} : { cron }), ...timingChangeOf(given) });
        return [];
      },
      Remove: async () => {
        await engine.schedules.remove(name);
        return [];
      },
    },
    properties: () => propertiesOf(view()),
    polkitDetails: () => detailsOf(view()),
  };
}

/** What a run of each operation is in polkit's eyes. */
const ACTIONS: Readonly<Record<ScheduleView['operation']['kind'], PolkitAction>> = {
  prune: 'prune',
  pull: 'manage-images',
  'run-container': 'manage-containers',
  'restart-container': 'manage-containers',
};

function detailsOf({ name, operation }: ScheduleView): Readonly<Record<string, string>> {
  return {
    schedule: name,
    'schedule-operation': operation.kind,
    ...('container' in operation ? { container: operation.container } : {}),
    ...('reference' in operation ? { image: operation.reference } : {}),
  };
}

/** A run that failed is a job that failed, in the run's own words. */
function resultOf(
  { result, message, reclaimedBytes }: ScheduleRun,
  signal: AbortSignal,
): Readonly<Record<string, Variant>> {
  if (result === 'canceled') signal.throwIfAborted();
  if (result !== 'done') throw namedError('Failed', message === '' ? `the run was ${result}` : message);
  return { Message: variant('s', message), Reclaimed: variant('t', reclaimedBytes) };
}

function propertiesOf(view: ScheduleView): Readonly<Record<string, unknown>> {
  const { lastRun } = view;
  return {
    Name: view.name,
    Cron: view.cron,
    Operation: view.operation.kind,
    Enabled: view.enabled,
    NextRun: (view.nextRun ?? 0n) / 1000n,
    LastRun: (lastRun?.startedAt ?? 0n) / 1000n,
    LastResult: lastRun?.result ?? '',
    LastReclaimed: lastRun?.reclaimedBytes ?? 0,
    Origin: view.origin,
  };
}
