/** The front on a bus of one's own, with no engine: tests add the objects they need. */
import { SystemClock } from '../../src/base/clock.ts';
import type { LogFields, Logger } from '../../src/base/logger.ts';
import { Dispatcher } from '../../src/dbus/bus/dispatcher.ts';
import { logControlObject } from '../../src/dbus/log-control.ts';
import type { LogLevel } from '../../src/dbus/log-control.ts';
import { Polkit } from '../../src/dbus/bus/polkit.ts';
import { Session } from '../../src/dbus/bus/session.ts';
import { Tree } from '../../src/dbus/bus/tree.ts';
import { createDescriptorCalls } from '../../src/engine/kernel/linux/descriptors.ts';

/** A line that was logged. */
export interface LoggedLine {
  readonly level: string;
  readonly message: string;
  readonly fields: LogFields;
}

/** The core at work, each part at hand. */
export interface BareFront extends AsyncDisposable {
  readonly tree: Tree;
  readonly session: Session;
  readonly dispatcher: Dispatcher;
  readonly log: readonly LoggedLine[];
}

/** Connects the core to a bus; LogControl1 is there, nothing else. */
export async function startBareFront(address: string): Promise<BareFront> {
  const descriptors = createDescriptorCalls();
  const clock = new SystemClock();
  const log: LoggedLine[] = [];
  const logger = recording(log);
  const tree = new Tree({ clock, logger });
  const closeFd = (fd: number): void => descriptors.close(fd);
  const dispatcher = new Dispatcher({ tree, polkit: new Polkit(logger), logger, closeFd });
  let level: LogLevel = 'info';
  tree.add(
    logControlObject({
      level: () => level,
      setLevel: (next) => void (level = next),
      target: 'journal',
      identifier: 'docker',
    }),
  );
  const connect = descriptors.connect.bind(descriptors);
  const session = new Session({ clock, logger, connect, address, closeFd, dispatcher, tree });
  await session.start();
  return { tree, session, dispatcher, log, [Symbol.asyncDispose]: () => session.close() };
}

function recording(log: LoggedLine[]): Logger {
  const at =
    (level: string) =>
    (message: string, fields: LogFields = {}): void =>
      void log.push({ level, message, fields });
  const logger: Logger = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => logger,
  };
  return logger;
}
