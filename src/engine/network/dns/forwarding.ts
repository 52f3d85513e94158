/** What a forwarded question works with, and how many of them there may be. */
import type { Clock } from '../../../base/clock.ts';
import type { InternetCalls } from '../../kernel/internet.ts';
import type { Fd, NamespaceCalls } from '../../kernel/kernel.ts';
import type { Upstream } from './upstream.ts';
import type { Wakes } from './wakes.ts';

/** What one sandbox's questions to others have in common. */
export interface Asker {
  readonly netns: Fd;
  readonly patience: Patience;
}

/** What all servers of the thread share. */
export interface ServerGround {
  readonly internet: InternetCalls;
  readonly namespaces: Pick<NamespaceCalls, 'within'>;
  readonly clock: Clock;
  readonly wakes: Wakes;
  readonly allowance: Allowance;
  /** Nobody is asked for names below it. */
  readonly hostDomain: string | null;
}

/** One server is waited for so long before the next is asked; its answer is still taken while that one is waited for. */
export const ATTEMPT_MS = 2000;
/** So often somebody is asked by UDP, one server after the other: a client that is still there asks again by himself. */
export const MAX_ATTEMPTS = 4;
/** All servers are asked so often, if that is not too much. */
export const ROUNDS = 2;
/** Where other servers listen. */
const DNS_PORT = 53;

/** Docker's bound for one container. */
const MAX_OUTSTANDING = 1024;
/** For all together, since each holds a descriptor of the process; beyond it everybody still has a few. */
const MAX_OUTSTANDING_IN_ALL = 4096;
const ALWAYS_ALLOWED = 64;

/** Counts questions under way. */
export class Allowance {
  #all = 0;

  /** One more for somebody who has `own` under way; false when that is too much. */
  take(own: number): boolean {
    if (own >= MAX_OUTSTANDING) return false;
    if (this.#all >= MAX_OUTSTANDING_IN_ALL && own >= ALWAYS_ALLOWED) return false;
    this.#all += 1;
    return true;
  }

  giveBack(): void {
    this.#all -= 1;
  }
}

/** A server that did not answer in time is asked after the others for a while. */
const IMPATIENT_MS = 30_000;

/** Which servers have kept somebody waiting. */
export class Patience {
  readonly #clock: Clock;
  readonly #silentUntil = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The servers in the order in which they are asked. */
  order(servers: readonly Upstream[]): readonly Upstream[] {
    if (this.#silentUntil.size === 0) return servers;
    const now = this.#clock.monotonicMs();
    for (const [address, until] of this.#silentUntil) if (until <= now) this.#silentUntil.delete(address);
    const isSilent = ({ address }: Upstream): boolean => this.#silentUntil.has(address);
    return [...servers.filter((server) => !isSilent(server)), ...servers.filter(isSilent)];
  }

  keptWaiting({ address }: Upstream): void {
    this.#silentUntil.set(address, this.#clock.monotonicMs() + IMPATIENT_MS);
  }

  answered({ address }: Upstream): void {
    this.#silentUntil.delete(address);
  }
}

/** Makes a socket towards a server in the namespace from which that is asked. */
export function towards<T>(
  { namespaces }: Pick<ServerGround, 'namespaces'>,
  { address, fromHost }: Upstream,
  netns: Fd,
  open: (address: string, port: number) => T,
): T {
  return fromHost ? open(address, DNS_PORT) : namespaces.within(netns, () => open(address, DNS_PORT));
}
