import type { Fd } from '../../../kernel/kernel.ts';

/** A bound socket to serve, and where what comes to it is led. Descriptors are the whole process's: a number is enough. */
export interface ServedPort {
  /** Its number among all that were ever served. */
  readonly key: number;
  readonly fd: Fd;
  readonly protocol: 'tcp' | 'udp';
  readonly backendAddress: string;
  readonly backendPort: number;
}

/** What the proxy's thread is told. `drop` is answered; `stop` ends it and everything under way. */
export type ProxyOrder =
  | { readonly kind: 'serve'; readonly ports: readonly ServedPort[] }
  | { readonly kind: 'drop'; readonly ticket: number; readonly keys: readonly number[] }
  | { readonly kind: 'stop' };

/** What it tells: the ports of a ticket are let go of; nothing has been under way for a while; something went wrong. */
export type ProxyReport =
  | { readonly kind: 'dropped'; readonly ticket: number }
  | { readonly kind: 'idle' }
  | { readonly kind: 'warning'; readonly text: string; readonly reason: string };
