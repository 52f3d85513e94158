/** What this front tells of the service around the engine, and asks of it; src/service fills it. */
import type { Timestamp } from '../base/clock.ts';

export type ServiceState = 'starting' | 'running' | 'reloading' | 'stopping';

/** Where the REST API listens. */
export interface ListenerFact {
  /** `unix:///run/docker.sock`, `tcp://127.0.0.1:2376`, `fd://` (with the address of the socket, where known). */
  readonly address: string;
  /** Reachable over the network with neither TLS nor client certificates. */
  readonly isPlainTcp: boolean;
}

/** Something about the configuration that an administrator should know. */
export interface ConfigFinding {
  readonly severity: 'info' | 'warning' | 'error';
  /** A stable word: `unquoted-value`, `unknown-key` … */
  readonly code: string;
  /** File and line, or key. */
  readonly object: string;
  /** English; what to do about it. */
  readonly hint: string;
}

/** `changed`: any of the facts may be another one now. */
export type ServiceChange = { readonly kind: 'reloading'; readonly active: boolean } | { readonly kind: 'changed' };

export interface ServiceFacts {
  readonly version: string;
  readonly apiVersion: string;
  readonly minApiVersion: string;
  readonly startedAt: Timestamp;
  state(): ServiceState;
  listeners(): readonly ListenerFact[];
  /** Keys whose configured value is another than the one in force. */
  pendingRestart(): readonly string[];
  configFindings(): readonly ConfigFinding[];
  /** `none`, `iptables`, `nftables`, `firewalld+iptables`, `firewalld+nftables`. */
  firewallBackend(): string;
  /** Whether polkit answers; without it only root may do what needs an action. */
  hasPolkit(): boolean;
  /** Room on the file system of the data root. */
  dataSpace(): { readonly availableBytes: number; readonly totalBytes: number };
  /** Control groups of a process, below each hierarchy's root; empty when there is no such process. */
  cgroupPathsOf(pid: number): readonly string[];
  /** Reads the configuration again; the keys that changed. Throws what makes it unfit, and nothing has changed then. */
  reload(): Promise<readonly string[]>;
  watch(listener: (change: ServiceChange) => void): Disposable;
}
