/**
 * The D-Bus front's door: everything of `org.moored.Engine1` over the engine's facade. It sees engine/index.ts and base
 * only; descriptors, the stream below the bus and the log are handed in. Loaded by a dynamic import when the API listens,
 * so that starting costs nothing for it.
 */
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import { SYSTEM_BUS_ADDRESS } from './bus/address.ts';
import type { Descriptors } from './bus/descriptors.ts';
import { Dispatcher } from './bus/dispatcher.ts';
import type { LogControl } from './log-control.ts';
import { logControlObject } from './log-control.ts';
import type { ObjectTree } from './bus/exported.ts';
import { Polkit } from './bus/polkit.ts';
import { Session } from './bus/session.ts';
import type { ConnectStream } from './bus/transport.ts';
import { Tree } from './bus/tree.ts';

export type { LogControl, LogLevel } from './log-control.ts';
export { exportEngine } from './engine-objects.ts';
export type { EngineObjects } from './engine-objects.ts';
export { exportConfig } from './objects/config.ts';
export type { Descriptors } from './bus/descriptors.ts';
export type { ConnectStream } from './bus/transport.ts';

/** What the front needs. */
export interface BusOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** The kernel's streams that carry descriptors. */
  readonly connect: ConnectStream;
  readonly descriptors: Descriptors;
  readonly logControl: LogControl;
  /** The system bus; DBUS_SYSTEM_BUS_ADDRESS of the daemon's environment. */
  readonly address?: string | undefined;
  /** Puts the engine's objects into the tree, before anybody can see it; what it returns is disposed of at the end. */
  readonly objects?: (tree: ObjectTree) => readonly Disposable[] | Promise<readonly Disposable[]>;
}

/** The front at work. */
export interface BusFront {
  /** Calls under way. */
  readonly busyCount: number;
  /** Leaves the bus; calls under way are answered ShuttingDown. */
  close(): Promise<void>;
}

/** Connects and exports. Without a bus it keeps trying, and everything else works. */
export async function startBus(options: BusOptions): Promise<BusFront> {
  const { clock, connect, descriptors, logControl } = options;
  const logger = options.logger.child({ room: 'dbus' });
  const tree = new Tree({ clock, logger });
  const closeFd = (fd: number): void => descriptors.close(fd);
  const dispatcher = new Dispatcher({ tree, polkit: new Polkit(logger), logger, closeFd });
  tree.add(logControlObject(logControl));
  using objects = new DisposableStack();
  for (const object of (await options.objects?.(tree)) ?? []) objects.use(object);
  const address = options.address ?? SYSTEM_BUS_ADDRESS;
  const session = new Session({ clock, logger, connect, address, closeFd, dispatcher, tree });
  await session.start();
  const mirrored = objects.move();
  return {
    get busyCount() {
      return dispatcher.callCount;
    },
    async close() {
      await session.close();
      mirrored.dispose();
    },
  };
}
