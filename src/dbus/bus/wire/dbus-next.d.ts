/**
 * The inner modules of dbus-next that are used: its package index would load its service and client classes as well, and
 * with them an XML library and a stream library (86 ms and 12 MiB in place of 30 ms and 9 MiB).
 */
declare module 'dbus-next/lib/dbus-buffer.js' {
  import type { SignatureNode } from 'dbus-next/lib/signature.js';
  /** Reads values at a position. Numbers are number, x and t bigint, ay Buffer, dict entries pairs, v [[node], [value]]. */
  class DBusBuffer {
    constructor(buffer: Buffer, startPos: number, endian: number, fds: readonly number[], options?: object);
    pos: number;
    align(power: number): void;
    read(signature: string): unknown[];
    readArray(element: SignatureNode, sizeBytes: number): unknown[];
  }
  export = DBusBuffer;
}

declare module 'dbus-next/lib/signature.js' {
  /** A parsed type; `child` has an array's element, a struct's members, a dict entry's key and value. */
  export interface SignatureNode {
    readonly type: string;
    readonly child: readonly SignatureNode[];
  }
  /** Throws for what is no signature; does not look at the members of a dict entry. */
  export function parseSignature(signature: string): SignatureNode[];
}

declare module 'dbus-next/lib/handshake.js' {
  import type { Duplex } from 'node:stream';
  /** Authenticates; agrees on descriptors where `stream.supportsUnixFd` is true, and sets it to false when refused. */
  function handshake(
    stream: Duplex & { supportsUnixFd: boolean },
    options: { readonly authMethods: readonly string[] },
    done: (error: unknown, guid?: string) => void,
  ): void;
  export = handshake;
}

declare module 'dbus-next/lib/validators.js' {
  export function isObjectPathValid(path: string): boolean;
}
