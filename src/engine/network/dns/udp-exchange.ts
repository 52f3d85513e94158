/** One question sent on by UDP, until somebody has answered it. */
import { randomInt } from 'node:crypto';
import type { Fd } from '../../kernel/kernel.ts';
import { ATTEMPT_MS, MAX_ATTEMPTS, ROUNDS, towards } from './forwarding.ts';
import type { Asker, ServerGround } from './forwarding.ts';
import type { Query } from './query.ts';
import { isReplyTo, isUnhelpful, withId } from './reply-check.ts';
import type { Upstream } from './upstream.ts';

/** A question under way. */
export interface Exchange {
  /** Ends it without an answer. */
  cancel(): void;
}

/** A socket of its own for each attempt: a random port, as hard to guess as the number. */
interface Attempt {
  readonly server: Upstream;
  readonly fd: Fd;
  readonly id: number;
  readonly watch: Disposable;
}

/** An attempt before the last is still listened to. */
const MAX_OPEN_ATTEMPTS = 2;
const MAX_ID = 65_536;

/** Asks one server after the other; `done` is called once: with the answer, or null when there was none. */
export class UdpExchange implements Exchange {
  readonly #ground: ServerGround;
  readonly #asker: Asker;
  readonly #query: Query;
  readonly #done: (reply: Buffer | null) => void;
  #plan: readonly Upstream[];
  #attempts: readonly Attempt[] = [];
  #timer: Disposable | null = null;
  #unhelpful: Buffer | null = null;

  constructor(
    ground: ServerGround,
    asker: Asker,
    question: { readonly query: Query; readonly servers: readonly Upstream[] },
    done: (reply: Buffer | null) => void,
  ) {
    this.#ground = ground;
    this.#asker = asker;
    this.#query = question.query;
    const servers = asker.patience.order(question.servers);
    this.#plan = Array.from({ length: ROUNDS }, () => servers)
      .flat()
      .slice(0, MAX_ATTEMPTS);
    this.#done = done;
    this.#next();
  }

  cancel(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    for (const attempt of this.#attempts) this.#close(attempt);
    this.#attempts = [];
    this.#plan = [];
  }

  #next(): void {
    this.#timer?.[Symbol.dispose]();
    for (let server = this.#plan[0]; server !== undefined; server = this.#plan[0]) {
      this.#plan = this.#plan.slice(1);
      const attempt = this.#ask(server);
      if (attempt === null) continue;
      this.#attempts = [...this.#attempts, attempt];
      for (const old of this.#attempts.slice(0, -MAX_OPEN_ATTEMPTS)) this.#close(old);
      this.#attempts = this.#attempts.slice(-MAX_OPEN_ATTEMPTS);
      this.#timer = this.#ground.clock.after(ATTEMPT_MS, () => {
        this.#asker.patience.keptWaiting(server);
        this.#next();
      });
      return;
    }
    this.#finish(this.#unhelpful);
  }

  /** Null when the server cannot be reached from there. */
  #ask(server: Upstream): Attempt | null {
    const { internet, wakes } = this.#ground;
    let fd: Fd | null = null;
    try {
      const id = randomInt(MAX_ID);
      fd = towards(this.#ground, server, this.#asker.netns, (to, port) => internet.connectDatagrams(to, port));
      internet.send(fd, withId(this.#query, id));
      const attempt: Attempt = { server, fd, id, watch: wakes.on(fd, () => this.#receive(attempt)) };
      return attempt;
    } catch {
      if (fd !== null) internet.close([fd]);
      return null;
    }
  }

  #receive(attempt: Attempt): void {
    let reply: Buffer | null;
    try {
      reply = this.#ground.internet.receive(attempt.fd);
    } catch {
      // Nobody listens there (ECONNREFUSED), or there is no way: no use in waiting.
      this.#giveUp(attempt);
      return;
    }
    if (reply === null || !isReplyTo(this.#query, attempt.id, reply)) return;
    this.#asker.patience.answered(attempt.server);
    const own = Buffer.from(reply);
    own.writeUInt16BE(this.#query.id, 0);
    if (!isUnhelpful(own)) {
      this.#finish(own);
      return;
    }
    this.#unhelpful = own;
    this.#plan = this.#plan.filter(({ address }) => address !== attempt.server.address);
    this.#giveUp(attempt);
  }

  #giveUp(attempt: Attempt): void {
    const wasLast = this.#attempts.at(-1) === attempt;
    this.#close(attempt);
    this.#attempts = this.#attempts.filter((one) => one !== attempt);
    if (wasLast) this.#next();
  }

  #finish(reply: Buffer | null): void {
    this.cancel();
    this.#done(reply);
  }

  #close({ fd, watch }: Attempt): void {
    watch[Symbol.dispose]();
    this.#ground.internet.close([fd]);
  }
}
