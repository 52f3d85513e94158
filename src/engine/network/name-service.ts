/**
 * Name resolution on users' networks: a name server at 127.0.0.11 inside each sandbox.
 *
 * Vocabulary: a *view* is all that one container may be told: the names of the endpoints on its own networks, and where
 * everything else is asked. Nothing of a network it is not on is in its view.
 *
 * Story: `Networks.complete` has plugged a container in; `start(sandbox, view)` opens its sockets inside the namespace. When
 * neighbours come, go or are renamed, `update(containerId, view)` replaces the view of each container that shares a
 * network. `stop` ends it. After the daemon's restart `start` is called again for each running sandbox.
 */
import type { ContainerId } from '../../base/ids.ts';
import type { Fd } from '../kernel/kernel.ts';

/** An endpoint that may be named. */
export interface NamedEndpoint {
  /** In Docker's order; the first is what reverse queries are answered with. */
  readonly names: readonly string[];
  readonly ipv4Address: string | null;
  readonly ipv6Address: string | null;
}

/** What one network lets a container know. */
export interface NetworkNames {
  readonly networkName: string;
  /** No external server may be asked on behalf of a container that is on internal networks only. */
  readonly internal: boolean;
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  /**
   * All endpoints, its own among them. Views of one network share one list (the same array, made anew when something
   * changes): it is sent and made ready once for all of them.
   */
  readonly endpoints: readonly NamedEndpoint[];
  /** Names that only this container knows: alias → name of an endpoint of this network. */
  readonly links: Readonly<Record<string, string>>;
}

/** All that one container may be told. */
export interface NameView {
  /** All of its networks in the order of its endpoints; predefined ones too, with nobody named there. */
  readonly networks: readonly NetworkNames[];
  /** The container's or the daemon's `--dns`; empty: the host's servers, as its resolver configuration names them now. */
  readonly servers: readonly string[];
  /** The container's or the daemon's `--dns-option`; absent or empty: the host's. */
  readonly options?: readonly string[];
}

/** Where the name service works. */
export interface NameServiceSandbox {
  readonly containerId: ContainerId;
  readonly netnsPath: string;
  readonly netns: Fd;
}

/** The name service of all sandboxes. */
export interface NameService {
  /** Serves 127.0.0.11 port 53, UDP and TCP, inside the sandbox; replaces what served there before. */
  start(sandbox: NameServiceSandbox, view: NameView): Promise<void>;
  /** Takes effect with the next query. Nothing happens for a container without name service. */
  update(containerId: ContainerId, view: NameView): void;
  /** Idempotent. */
  stop(containerId: ContainerId): void;
  /** Ends all. */
  close(): Promise<void>;
}
