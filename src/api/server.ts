/**
 * The REST front: Docker's Engine API over the engine's facade. It translates and holds no logic: a handler decodes,
 * calls one verb, encodes. It may see `engine/index.ts` and `base`, nothing else of ours.
 *
 *   http/     HTTP/1.1 over sockets: heads, bodies, replies, take-over, listeners
 *   routes/   the table, one file a noun
 *   wire/     Docker's JSON ↔ domain types
 *   filters/  Docker's `filters` parameter
 *   stream/   frames of attach and logs, JSON lines, progress
 *   compat/   API versions
 */
import type { Socket } from 'node:net';
import type { Clock } from '../base/clock.ts';
import type { ApiServerOptions } from './context.ts';
import { Dispatcher } from './dispatch.ts';
import { Connection } from './http/connection.ts';
import { httpDate } from './http/date.ts';
import { listen, type Listener, type ListenTarget } from './http/listener.ts';
import type { TlsFront, TlsIdentity } from './http/tls-front.ts';
import type { Route } from './router.ts';
import { ROUTES } from './routes/table.ts';

/** The server. It may listen on several sockets at once; all serve the same. */
export interface ApiServer {
  /**
   * Listens on one more socket and returns where. ConflictError when a live server has the address,
   * InvalidArgumentError when the path is not a socket's.
   */
  listen(target: ListenTarget): Promise<{ readonly address: string; readonly isNetwork: boolean }>;
  /**
   * Puts TLS on all network connections from now on, or gives it a new certificate. Whether clients must show one is
   * settled by the first call. Rejects with what Node says of a certificate that cannot be used, and changes nothing then.
   */
  useTls(identity: TlsIdentity): Promise<void>;
  /** Requests and taken-over connections under way. */
  readonly busyCount: number;
  /** Clients that are connected, whether they ask for something or not (for idle exit). */
  readonly connectionCount: number;
  /** Connections that were ever accepted. */
  readonly acceptedCount: number;
  /**
   * Takes no more connections, ends idle ones, aborts the signals of those under way, waits for their answers at most
   * {@link CLOSE_GRACE_MS}, cuts what is left. Idempotent.
   */
  close(): Promise<void>;
}

/** How long `close` waits for answers under way. */
const CLOSE_GRACE_MS = 2_000;

/** Serves the whole API, or the given routes alone. */
export function createApiServer(options: ApiServerOptions, routes: readonly Route[] = ROUTES): ApiServer {
  return new Server(options, routes);
}

class Server implements ApiServer {
  readonly #dispatcher: Dispatcher;
  readonly #clock: Clock;
  readonly #date: () => string;
  readonly #listeners: Listener[] = [];
  readonly #connections = new Set<Connection>();
  #tls: TlsFront | null = null;
  #acceptedCount = 0;
  #isClosing = false;
  #allClosed: PromiseWithResolvers<void> | null = null;

  constructor(options: ApiServerOptions, routes: readonly Route[]) {
    this.#clock = options.clock;
    this.#date = httpDate(options.clock);
    this.#dispatcher = new Dispatcher(routes, options);
  }

  get busyCount(): number {
    return this.#dispatcher.busyCount;
  }

  get acceptedCount(): number {
    return this.#acceptedCount;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  async useTls(identity: TlsIdentity): Promise<void> {
    if (this.#tls !== null) {
      this.#tls.renew(identity);
      return;
    }
    // Node's TLS takes 20 ms and 6 MB to load, which an engine on a unix socket need not pay.
    const front = await import('./http/tls-front.ts');
    this.#tls = new front.TlsFront(identity, (socket) => this.#serve(socket));
  }

  async listen(target: ListenTarget): Promise<{ readonly address: string; readonly isNetwork: boolean }> {
    const listener = await listen(target, (socket, isNetwork) => {
      this.#acceptedCount += 1;
      if (isNetwork && this.#tls !== null) this.#tls.accept(socket);
      else this.#serve(socket);
    });
    this.#listeners.push(listener);
    return listener;
  }

  #serve(socket: Socket): void {
    if (this.#isClosing) {
      socket.destroy();
      return;
    }
    this.#connections.add(
      new Connection(socket, {
        clock: this.#clock,
        date: this.#date,
        answer: (exchange) => this.#dispatcher.answer(exchange),
        onClose: (connection) => this.#forget(connection),
      }),
    );
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    await Promise.all(this.#listeners.splice(0).map((listener) => listener.close()));
    this.#tls?.close();
    if (this.#connections.size === 0) return;
    this.#allClosed ??= Promise.withResolvers<void>();
    for (const connection of this.#connections) connection.shutDown();
    using _deadline = this.#clock.after(CLOSE_GRACE_MS, () => {
      for (const connection of this.#connections) connection.destroy();
    });
    await this.#allClosed.promise;
  }

  #forget(connection: Connection): void {
    this.#connections.delete(connection);
    if (this.#connections.size === 0) this.#allClosed?.resolve();
  }
}
