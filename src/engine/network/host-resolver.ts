/**
 * The host's own resolver (systemd-resolved), as the network room sees it: it can be told who knows a domain, for one
 * link of the host, and forgets it with the link.
 */

/** Who answers for a domain. */
export interface DomainWish {
  readonly linkIndex: number;
  /** IPv4 address of the name server, which is asked at port 53. */
  readonly address: string;
  readonly domain: string;
}

export interface HostResolver {
  /**
   * Keeps the resolver told: at once, and anew whenever it or the bus has been started again. `report` hears of each
   * attempt: null when it was told, else why it was not. Dispose to stop; what was told then goes with the link.
   */
  lead(wish: DomainWish, report: (problem: string | null) => void): Disposable;
}
