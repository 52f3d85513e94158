import { messageOf } from '../base/errors.ts';
import { MAX_API_VERSION, NEWEST, negotiate, type ApiVersion } from './compat/version.ts';
import type { ApiServerOptions, Context } from './context.ts';
import { errorBody, logFailure, statusOf } from './errors.ts';
import type { Exchange } from './http/connection.ts';
import { Query } from './query.ts';
import { Router, type Match, type Route } from './router.ts';

/** `/v1.51/containers/json`; dockerd takes any digits and dots for a version. */
const VERSIONED = /^\/v([0-9.]+)(\/.*)$/;

/** What handlers throw for an error that must be told as plain text. */
interface Located {
  readonly match: Match;
  readonly version: ApiVersion;
}

/** From request to handler: version, route, fields of every answer, errors. */
export class Dispatcher {
  readonly #router: Router;
  readonly #options: ApiServerOptions;
  #busyCount = 0;

  constructor(routes: readonly Route[], options: ApiServerOptions) {
    this.#router = new Router(routes);
    this.#options = options;
  }

  /** Requests under way now. */
  get busyCount(): number {
    return this.#busyCount;
  }

  /** Answers one request; never rejects. */
  async answer(exchange: Exchange): Promise<void> {
    this.#busyCount += 1;
    const { head, reply } = exchange;
    const mark = head.target.indexOf('?');
    const path = mark < 0 ? head.target : head.target.slice(0, mark);
    this.#setFields(exchange);
    try {
      const located = this.#locate(head.method, path);
      if (located === null) {
        reply.json(404, errorBody('page not found'));
        return;
      }
      if (located.match.route.takesOver === true) exchange.expectTakeOver();
      const query = new Query(mark < 0 ? '' : head.target.slice(mark + 1));
      await located.match.route.handle(this.#context(exchange, located, query));
      if (!reply.isStarted) reply.send(200);
    } catch (error) {
      this.#fail(exchange, path, error);
    } finally {
      this.#busyCount -= 1;
    }
  }

  #locate(method: string, path: string): Located | null {
    if (method === 'OPTIONS') return { match: { route: OPTIONS_ROUTE, params: {} }, version: NEWEST };
    const [, versionText, rest] = VERSIONED.exec(path) ?? [];
    const match = this.#router.find(method, rest ?? path);
    if (match === null) return null;
    return { match, version: negotiate(versionText ?? null) };
  }

  #context({ head, body, reply, signal }: Exchange, { match, version }: Located, query: Query): Context {
    const { engine, clock, logger, build, experimental = false } = this.#options;
    const hasBody = head.framing.kind !== 'none';
    const { params } = match;
    const { fields } = head;
    const server = { engine, clock, logger, build, experimental };
    return { ...server, version, params, query, fields, body, hasBody, reply, signal };
  }

  /** What every answer carries, in the order in which Go prints it. */
  #setFields({ reply }: Exchange): void {
    reply.fields.set('Api-Version', MAX_API_VERSION);
    reply.fields.set('Docker-Experimental', String(this.#options.experimental ?? false));
    reply.fields.set('Ostype', 'linux');
    reply.fields.set('Server', `Docker/${this.#options.build.version} (linux)`);
  }

  #fail({ head, reply, signal }: Exchange, path: string, error: unknown): void {
    const request = `${head.method} ${path}`;
    if (reply.isStarted) {
      // Handlers tell errors in-band; what arrives here had no band to go by, or the client has gone.
      if (!signal.aborted) logFailure(this.#options.logger, request, error);
      return;
    }
    if (!signal.aborted) logFailure(this.#options.logger, request, error);
    // Docker's rule: clients of the plain-text days (API < 1.24) get plain text.
    const version = VERSIONED.exec(path)?.[1];
    if (version !== undefined && isPlainTextVersion(version))
      reply.send(statusOf(error), `${messageOf(error)}\n`, PLAIN);
    else reply.json(statusOf(error), errorBody(messageOf(error)));
  }
}

const PLAIN = 'text/plain; charset=utf-8';

/** dockerd answers OPTIONS on any path (CORS days); clients probe with it. */
const OPTIONS_ROUTE: Route = { method: 'OPTIONS', pattern: '', handle: ({ reply }) => reply.send(200) };

function isPlainTextVersion(text: string): boolean {
  const [major = 0, minor = 0] = text.split('.').map(Number);
  return major < 1 || (major === 1 && minor < 24);
}
