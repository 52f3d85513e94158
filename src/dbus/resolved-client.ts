import type { Clock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { DomainWish, HostResolver } from '../engine/index.ts';
import type { OutgoingCall } from './bus/connection.ts';
import { BusError } from './bus/errors.ts';
import type { MatchRule } from './bus/match-rule.ts';
import type { IncomingMessage } from './bus/wire/message.ts';

/** The connection that calls go over, as far as this client needs it; see connection.ts. */
export interface ResolvedConnection {
  call(call: OutgoingCall): Promise<readonly unknown[]>;
  match(rule: MatchRule, listener: (message: IncomingMessage) => void): Promise<AsyncDisposable>;
  close(): void;
}

const RESOLVED = 'org.freedesktop.resolve1';
const RESOLVED_PATH = '/org/freedesktop/resolve1';
const MANAGER = `${RESOLVED}.Manager`;
const BUS = 'org.freedesktop.DBus';
const AF_INET = 2;
const CALL_TIMEOUT_MS = 5_000;
/** After the bus has gone, or has not come yet. */
const RECONNECT_MS = 5_000;

/** systemd-resolved by its D-Bus interface (org.freedesktop.resolve1(5)). */
export class ResolvedClient implements HostResolver {
  readonly #connect: (closed: () => void) => Promise<ResolvedConnection>;
  readonly #clock: Clock;

  /** `closed` is to be called when a connection has ended. */
  constructor(options: {
    readonly connect: (closed: () => void) => Promise<ResolvedConnection>;
    readonly clock: Clock;
  }) {
    this.#connect = options.connect;
    this.#clock = options.clock;
  }

  lead(wish: DomainWish, report: (problem: string | null) => void): Disposable {
    const over = new AbortController();
    void this.#keepTold(wish, report, over.signal);
    return { [Symbol.dispose]: () => over.abort() };
  }

  async #keepTold(wish: DomainWish, report: (problem: string | null) => void, signal: AbortSignal): Promise<void> {
    const reportUnlessOver = (problem: string): void => {
      if (!signal.aborted) report(problem);
    };
    while (!signal.aborted) {
      try {
        await this.#tellUntilClosed(wish, report, signal);
      } catch (error) {
        reportUnlessOver(messageOf(error));
      }
      await this.#clock.sleep(RECONNECT_MS, signal).catch(() => undefined);
    }
  }

  async #tellUntilClosed(
    wish: DomainWish,
    report: (problem: string | null) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const connection = await this.#connect(end);
    signal.addEventListener('abort', () => end(), { once: true });
    if (signal.aborted) end();
    const attempt = async (): Promise<void> => {
      try {
        await tell(connection, wish);
        report(null);
      } catch (error) {
        if (!signal.aborted) report(problemOf(error));
      }
    };
    try {
      await connection.match(
        { sender: BUS, interface: BUS, member: 'NameOwnerChanged', arg0: RESOLVED },
        ({ body }) => void (body[2] !== '' && attempt()),
      );
      await attempt();
      await ended;
    } finally {
      connection.close();
    }
  }
}

/** Questions below the domain go to the address, by the link; nothing else does. */
async function tell(connection: ResolvedConnection, { linkIndex, address, domain }: DomainWish): Promise<void> {
  const manager = (member: string, signature: string, ...body: readonly unknown[]): Promise<readonly unknown[]> =>
    connection.call({
      ...{ destination: RESOLVED, path: RESOLVED_PATH, interface: MANAGER, member, signature, body },
      timeoutMs: CALL_TIMEOUT_MS,
      // Whether the host is to have a resolver is not for us to say.
      autoStart: false,
    });
  const bytes = Buffer.from(address.split('.').map(Number));
  // Nothing but that: no signatures, no encryption, no multicast.
  for (const member of ['SetLinkDNSSEC', 'SetLinkDNSOverTLS', 'SetLinkLLMNR', 'SetLinkMulticastDNS']) {
    await manager(member, 'is', linkIndex, 'no');
  }
  await manager('SetLinkDNS', 'ia(iay)', linkIndex, [[AF_INET, bytes]]);
  await manager('SetLinkDomains', 'ia(sb)', linkIndex, [[domain, true]]);
  await manager('SetLinkDefaultRoute', 'ib', linkIndex, false);
}

function problemOf(error: unknown): string {
  if (!(error instanceof BusError)) return messageOf(error);
  return error.busName === `${BUS}.Error.ServiceUnknown` || error.busName === `${BUS}.Error.NameHasNoOwner`
    ? 'systemd-resolved does not run'
    : `systemd-resolved: ${error.message}`;
}
