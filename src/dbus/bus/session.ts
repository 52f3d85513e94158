/**
 * The daemon's life on the bus: connects, asks for the name, answers; when the bus goes, does it all again. Without a
 * bus the daemon works on, and nobody is told.
 */
import type { Clock } from '../../base/clock.ts';
import { messageOf, UnavailableError } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { socketAddresses } from './address.ts';
import { Callers } from './callers.ts';
import type { BusConnection } from './connection.ts';
import { BUS_NAME, BUS_PATH, connectBus } from './connection.ts';
import type { Dispatcher } from './dispatcher.ts';
import { namedError } from './errors.ts';
import { SERVICE } from '../names.ts';
import type { BusStream, ConnectStream } from './transport.ts';
import type { Tree } from './tree.ts';
import type { IncomingMessage } from './wire/message.ts';

/** Waits between attempts: doubling from the first to the last. */
const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 5_000;
/** Answers to RequestName. */
const PRIMARY_OWNER = 1;
const IN_QUEUE = 2;

export interface SessionOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly connect: ConnectStream;
  readonly address: string;
  readonly closeFd: (fd: number) => void;
  readonly dispatcher: Dispatcher;
  readonly tree: Tree;
}

/** One connection and who calls on it. */
interface Standing {
  readonly connection: BusConnection;
  readonly callers: Callers;
  readonly ended: Promise<Error | null>;
}

export class Session {
  readonly #options: SessionOptions;
  readonly #closing = new AbortController();
  #standing: Standing | null = null;
  #loop: Promise<void> = Promise.resolve();
  /** Whether the loss was told already: one line an outage. */
  #isOutageTold = false;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /** The connection for our own calls; throws UnavailableError while there is none. */
  get connection(): BusConnection {
    if (this.#standing === null) throw new UnavailableError('there is no connection to the system bus');
    return this.#standing.connection;
  }

  /**
   * Settles after the first attempt, whether there is a bus or not, and soon where it hangs; goes on trying until closed.
   */
  async start(): Promise<void> {
    const attempted = this.#attempt();
    this.#loop = attempted.then(() => this.#keepUp());
    const { promise: waitedEnough, resolve } = Promise.withResolvers<void>();
    using _timer = this.#options.clock.after(START_TIMEOUT_MS, resolve);
    await Promise.race([attempted, waitedEnough]);
  }

  /** Answers calls under way as cancelled and leaves the bus. */
  async close(): Promise<void> {
    this.#closing.abort(namedError('ShuttingDown', 'the engine is shutting down'));
    const standing = this.#standing;
    standing?.callers.allLeft(namedError('ShuttingDown', 'the engine is shutting down'));
    const { promise: waitedEnough, resolve } = Promise.withResolvers<void>();
    using _timer = this.#options.clock.after(CLOSE_TIMEOUT_MS, resolve);
    await Promise.race([this.#options.dispatcher.settled(), waitedEnough]);
    this.#options.tree.connect(null);
    standing?.connection.close();
    await this.#loop;
  }

  async #keepUp(): Promise<void> {
    let waitMs = FIRST_RETRY_MS;
    while (!this.#closing.signal.aborted) {
      if (this.#standing !== null) {
        const error = await this.#standing.ended;
        this.#lost(error);
        waitMs = FIRST_RETRY_MS;
        continue;
      }
      try {
        await this.#options.clock.sleep(waitMs, this.#closing.signal);
      } catch {
        return;
      }
      waitMs = Math.min(2 * waitMs, LAST_RETRY_MS);
      await this.#attempt();
    }
  }

  async #attempt(): Promise<void> {
    const { logger, tree } = this.#options;
    try {
      const standing = await this.#connect();
      if (this.#closing.signal.aborted) {
        standing.connection.close();
        return;
      }
      this.#standing = standing;
      tree.connect((message) => void standing.connection.send(message));
      await this.#requestName(standing.connection);
      this.#isOutageTold = false;
    } catch (error) {
      this.#standing?.connection.close();
      this.#leave();
      if (this.#isOutageTold || this.#closing.signal.aborted) return;
      this.#isOutageTold = true;
      logger.warn(`there is no D-Bus interface yet: ${messageOf(error)}; trying on`);
    }
  }

  async #connect(): Promise<Standing> {
    const { clock, closeFd, dispatcher } = this.#options;
    const { promise: ended, resolve } = Promise.withResolvers<Error | null>();
    let known: Callers | null = null;
    const callersOf = (connection: BusConnection): Callers => (known ??= new Callers(connection));
    const connection = await connectBus({
      stream: this.#openStream(),
      clock,
      closeFd,
      signal: this.#closing.signal,
      events: {
        call: (message, on) => dispatcher.dispatch(on, callersOf(on).get(message.sender), message),
        unreadable: (message, on) => dispatcher.refuseUnreadable(on, message),
        bounce: (message) => this.#bounced(message),
        closed: resolve,
      },
    });
    const callers = callersOf(connection);
    const close = (): void => connection.close();
    // A bus that hangs from here on must not keep the daemon that ends.
    this.#closing.signal.addEventListener('abort', close, { once: true });
    try {
      await this.#watchNames(connection, callers);
    } catch (error) {
      close();
      throw error;
    } finally {
      this.#closing.signal.removeEventListener('abort', close);
    }
    return { connection, callers, ended };
  }

  async #watchNames(connection: BusConnection, callers: Callers): Promise<void> {
    await connection.match(
      { sender: BUS_NAME, path: BUS_PATH, interface: BUS_NAME, member: 'NameOwnerChanged' },
      ({ body }) => {
        const [name, oldOwner, newOwner] = body as readonly [string, string, string];
        if (newOwner === '') callers.left(name);
        if (name === SERVICE) this.#ownerChanged(connection, oldOwner, newOwner);
      },
    );
  }

  #openStream(): BusStream {
    const failures: unknown[] = [];
    for (const address of socketAddresses(this.#options.address)) {
      try {
        return this.#options.connect(address);
      } catch (error) {
        failures.push(error);
      }
    }
    throw new UnavailableError(failures.map(messageOf).join('; '));
  }

  /** Queues for the name when another process has it: the bus gives it to us when that one goes. */
  async #requestName(connection: BusConnection): Promise<void> {
    const [answer] = await connection.callBus('RequestName', 'su', [SERVICE, 0]);
    if (answer === IN_QUEUE) {
      const owner = await ownerText(connection);
      this.#options.logger.error(`the bus name ${SERVICE} is taken by ${owner}: waiting for it to be given up`);
    } else if (answer === PRIMARY_OWNER) {
      this.#options.logger.info(`D-Bus interface is up as ${SERVICE}`, { message: 'bus-back' });
    }
  }

  #ownerChanged(connection: BusConnection, oldOwner: string, newOwner: string): void {
    const { logger } = this.#options;
    if (newOwner === connection.uniqueName && oldOwner !== '') logger.info(`the bus name ${SERVICE} is ours now`);
    if (oldOwner === connection.uniqueName) logger.error(`the bus name ${SERVICE} was taken from us`);
  }

  #lost(error: Error | null): void {
    this.#leave();
    if (this.#closing.signal.aborted) return;
    this.#options.logger.warn('the connection to the system bus is lost; connecting again', {
      message: 'bus-lost',
      error: error === null ? '' : messageOf(error),
    });
  }

  /** Nobody is there any more: nothing is told, and calls under way end. */
  #leave(): void {
    const standing = this.#standing;
    this.#standing = null;
    this.#options.tree.connect(null);
    standing?.callers.allLeft(namedError('Cancelled', 'the connection to the bus is lost'));
  }

  /**
   * The bus did not deliver a message of ours. A reply with a descriptor to a client that takes none comes back so, and
   * the client waits for ever: nothing tells beforehand, and a second reply would be refused.
   */
  #bounced({ errorName = '', body, replySerial = 0 }: IncomingMessage): void {
    this.#options.logger.warn('the bus did not deliver a message of ours', {
      errorName,
      error: typeof body[0] === 'string' ? body[0] : '',
      serial: replySerial,
      ...(errorName.endsWith('.NotSupported')
        ? { hint: 'the client cannot receive file descriptors: it should use the method without one' }
        : {}),
    });
  }
}

/** A bus that works answers in milliseconds; the daemon does not wait for one that hangs. */
const START_TIMEOUT_MS = 2_000;
/** Enough for a reply; what takes longer does not heed its signal. */
const CLOSE_TIMEOUT_MS = 1_000;

async function ownerText(connection: BusConnection): Promise<string> {
  try {
    const [owner] = await connection.callBus('GetNameOwner', 's', [SERVICE]);
    const [pid] = await connection.callBus('GetConnectionUnixProcessID', 's', [owner]);
    return `process ${String(pid)} (${String(owner)})`;
  } catch {
    // It has just gone.
    return 'another process';
  }
}
