import { randomBytes } from 'node:crypto';
import type { Brand } from './brand.ts';

/** 64 hex digits. */
export type ContainerId = Brand<string, 'ContainerId'>;
/** 64 hex digits. */
export type ExecId = Brand<string, 'ExecId'>;
/** 64 hex digits. */
export type NetworkId = Brand<string, 'NetworkId'>;
/** 64 hex digits. */
export type EndpointId = Brand<string, 'EndpointId'>;

/** How much of an id Docker shows in short form. */
export const SHORT_ID_LENGTH = 12;

/** A fresh 64-hex-digit id. Never all digits in its short form: a host name must not look like a number. */
// The caller names the noun; nothing in the arguments could.
export function newId<T extends ContainerId | ExecId | NetworkId | EndpointId>(): T {
  for (;;) {
    const id = randomBytes(32).toString('hex');
    if (/[a-f]/.test(id.slice(0, SHORT_ID_LENGTH))) return id as T;
  }
}

/** The 12-digit form of a 64-digit id, or of a `sha256:` digest. */
export function shortId(id: string): string {
  const colon = id.indexOf(':');
  return id.slice(colon + 1, colon + 1 + SHORT_ID_LENGTH);
}
