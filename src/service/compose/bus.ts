/**
 * The D-Bus front with its ports filled; see dbus/index.ts. To be loaded when the API listens: nothing of it is in memory
 * before that, nor where there is to be no bus.
 */
import { createDocuments } from '../../api/documents.ts';
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/logger.ts';
import { exportConfig, exportEngine, startBus, type BusFront, type EngineObjects } from '../../dbus/index.ts';
import type { ServiceFacts } from '../../dbus/service-port.ts';
import type { Engine } from '../../engine/engine.ts';
import { createDescriptorCalls } from '../../engine/kernel/linux/descriptors.ts';
import { ConfigEditor } from '../config-editor.ts';
import type { LiveConfig } from '../live-config.ts';
import type { LogControl } from '../log.ts';
import { busLogControl } from '../log/systemd-words.ts';
import { BACKUP_DIRECTORY } from '../unconfirmed.ts';
import { createFileEffects } from './file-effects.ts';

/** What the front is made from. */
export interface BusParts {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly logControl: LogControl;
  readonly version: string;
  /** DBUS_SYSTEM_BUS_ADDRESS; null for the host's own. */
  readonly address: string | null;
  readonly facts: ServiceFacts;
  readonly config: LiveConfig;
}

/** Puts the engine on the bus. */
export async function openBus(parts: BusParts): Promise<BusFront & AsyncDisposable> {
  const { engine, clock, logger, version, facts, config } = parts;
  const descriptors = createDescriptorCalls();
  const words = createDocuments({ engine, clock, build: { version, gitCommit: 'moored', buildTime: '' } });
  let jobs: EngineObjects['jobs'] | null = null;
  let waiting: Waiting | null = null;
  const front = await startBus({
    clock,
    logger,
    connect: (address) => descriptors.connect(address),
    descriptors,
    logControl: busLogControl(parts.logControl),
    ...(parts.address === null ? {} : { address: parts.address }),
    objects: async (tree) => {
      // What fails half-way leaves nothing that follows the engine: it is all made again.
      using made = new DisposableStack();
      const objects = made.use(await exportEngine({ engine, tree, descriptors, words, facts, clock, logger }));
      jobs = objects.jobs;
      const reload = async (): Promise<void> => {
        await facts.reload();
      };
      const editor = made.use(
        new ConfigEditor({
          running: () => config.snapshot,
          reload,
          clock,
          logger,
          backupDirectory: BACKUP_DIRECTORY,
          effects: createFileEffects(),
        }),
      );
      waiting = editor;
      made.use(exportConfig({ port: editor, tree }));
      made.use(
        facts.watch((change) => {
          if (change.kind === 'reloading' && !change.active) editor.refresh();
        }),
      );
      return [made.move()];
    },
  });
  return closingJobsFirst(front, jobs, waiting);
}

/** A change of the configuration that goes back unless somebody confirms it. */
type Waiting = Pick<ConfigEditor, 'isWaiting'>;

/** Jobs are work too, and end while there is still a bus to tell of it; so is waiting to undo a change. */
function closingJobsFirst(
  front: BusFront,
  jobs: EngineObjects['jobs'] | null,
  waiting: Waiting | null,
): BusFront & AsyncDisposable {
  const close = async (): Promise<void> => {
    await jobs?.close();
    await front.close();
  };
  return {
    get busyCount() {
      return front.busyCount + (jobs?.activeCount ?? 0) + (waiting?.isWaiting === true ? 1 : 0);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
