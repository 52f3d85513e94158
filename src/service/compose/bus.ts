/** The D-Bus front with its ports filled; see dbus/index.ts. */
import { createDocuments } from '../../api/documents.ts';
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/logger.ts';
import type { BusFront } from '../../dbus/index.ts';
import type { Engine } from '../../engine/engine.ts';
import type { LogControl } from '../log.ts';
import { busLogControl } from '../log/systemd-words.ts';

/** What the front is made from. */
export interface BusParts {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly logControl: LogControl;
  readonly version: string;
  /** DBUS_SYSTEM_BUS_ADDRESS; null for the host's own. */
  readonly address: string | null;
}

/** Puts the engine on the bus. Loaded here and now: nothing of it is in memory before the API listens. */
export async function openBus(parts: BusParts): Promise<BusFront & AsyncDisposable> {
  const [{ startBus, JobRegistry, mirrorContainers }, { createDescriptorCalls }] = await Promise.all([
    import('../../dbus/index.ts'),
    import('../../engine/kernel/linux/descriptors.ts'),
  ]);
  const { engine, clock, logger, version } = parts;
  const descriptors = createDescriptorCalls();
  const words = createDocuments({ engine, clock, build: { version, gitCommit: 'moored', buildTime: '' } });
  const front = await startBus({
    clock,
    logger,
    connect: (address) => descriptors.connect(address),
    descriptors,
    logControl: busLogControl(parts.logControl),
    ...(parts.address === null ? {} : { address: parts.address }),
    objects: (tree) => {
      const jobs = new JobRegistry({ tree, clock, logger });
      return [mirrorContainers({ engine, tree, jobs, descriptors, words, clock, logger })];
    },
  });
  return Object.assign(front, { [Symbol.asyncDispose]: () => front.close() });
}
