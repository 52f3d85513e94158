/** One question sent on by TCP, since it came so: the answer may be of any length. */
import { randomInt } from 'node:crypto';
import { Socket } from 'node:net';
import { ATTEMPT_MS, towards } from './forwarding.ts';
import type { Asker, ServerGround } from './forwarding.ts';
import { FrameReader, framed } from './framed.ts';
import type { Query } from './query.ts';
import { isReplyTo, isUnhelpful, withId } from './reply-check.ts';
import type { Exchange } from './udp-exchange.ts';
import type { Upstream } from './upstream.ts';

const MAX_ID = 65_536;
/** A connection and its answer together. */
const CONNECTION_MS = 2 * ATTEMPT_MS;

/** As {@link UdpExchange}; each server is asked once. */
export class TcpExchange implements Exchange {
  readonly #ground: ServerGround;
  readonly #asker: Asker;
  readonly #query: Query;
  readonly #done: (reply: Buffer | null) => void;
  #plan: readonly Upstream[];
  #connection: Socket | null = null;
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
    this.#plan = asker.patience.order(question.servers);
    this.#done = done;
    this.#next();
  }

  cancel(): void {
    this.#hangUp();
    this.#plan = [];
  }

  #next(): void {
    this.#hangUp();
    for (let server = this.#plan[0]; server !== undefined; server = this.#plan[0]) {
      this.#plan = this.#plan.slice(1);
      if (!this.#ask(server)) continue;
      this.#timer = this.#ground.clock.after(CONNECTION_MS, () => this.#next());
      return;
    }
    this.#done(this.#unhelpful);
  }

  /** False when the server cannot be reached from there. */
  #ask(server: Upstream): boolean {
    let connection: Socket;
    try {
      const { internet } = this.#ground;
      const fd = towards(this.#ground, server, this.#asker.netns, (to, port) => internet.connectStream(to, port));
      connection = new Socket({ fd, readable: true, writable: true });
    } catch {
      return false;
    }
    this.#connection = connection;
    const id = randomInt(MAX_ID);
    const reader = new FrameReader();
    // `close` comes after an error, too.
    connection.on('error', () => undefined);
    connection.on('close', () => {
      if (this.#connection === connection) this.#next();
    });
    connection.on('data', (chunk: Buffer) => {
      for (const reply of reader.take(chunk)) if (this.#connection === connection) this.#take(reply, id);
    });
    connection.write(framed(withId(this.#query, id)));
    return true;
  }

  #take(reply: Buffer, id: number): void {
    if (!isReplyTo(this.#query, id, reply)) return;
    const own = Buffer.from(reply);
    own.writeUInt16BE(this.#query.id, 0);
    if (isUnhelpful(own)) {
      this.#unhelpful = own;
      this.#next();
      return;
    }
    this.cancel();
    this.#done(own);
  }

  #hangUp(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    const connection = this.#connection;
    this.#connection = null;
    connection?.destroy();
  }
}
