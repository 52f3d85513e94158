import type { Readable } from 'node:stream';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { Engine } from '../engine/index.ts';
import type { ApiVersion } from './compat/version.ts';
import type { HeaderFields } from './http/head.ts';
import type { Reply } from './http/reply.ts';
import type { Query } from './query.ts';

/** Facts that do not change while the daemon runs. */
export interface BuildFacts {
  /** The engine's version, as in the `Server` field and `/version`. */
  readonly version: string;
  readonly gitCommit: string;
  /** RFC 3339, or ''. */
  readonly buildTime: string;
}

/** What the server needs; compose hands it in. */
export interface ApiServerOptions {
  readonly engine: Engine;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Constants of this build: the version goes into every response's `Server` field. */
  readonly build: BuildFacts;
  /** What the docker CLI asks before it offers what Docker calls experimental; absent: no. */
  readonly experimental?: boolean;
}

/** What a handler gets: one request, its answer, and the engine. */
export interface Context {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly build: BuildFacts;
  /** What Docker calls experimental is offered. */
  readonly experimental: boolean;
  readonly version: ApiVersion;
  /** Words of the path by the names in the route's pattern; absent ones do not occur. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly fields: HeaderFields;
  readonly body: Readable;
  readonly hasBody: boolean;
  readonly reply: Reply;
  /** Aborted when the client has gone or the server closes. */
  readonly signal: AbortSignal;
}

/** The value of a path word; routes name each word that their handlers ask for. */
export function param(context: Context, name: string): string {
  const value = context.params[name];
  if (value === undefined) throw new Error(`route has no parameter ${name}`);
  return value;
}
