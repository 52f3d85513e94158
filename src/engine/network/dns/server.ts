/** The name server of one sandbox, in the service's thread. */
import type { Fd } from '../../kernel/kernel.ts';
import type { NameView } from '../name-service.ts';
import { setsNdots } from '../resolv-conf.ts';
import type { ResolvConf } from '../resolv-conf.ts';
import { answer, cutTo, refusal } from './answer.ts';
import type { Transport } from './answer.ts';
import { Patience } from './forwarding.ts';
import type { Asker, ServerGround } from './forwarding.ts';
import type { ServerSockets } from './messages.ts';
import { Names } from './names.ts';
import { CLASS_IN, RCODE, readPacket, RECORD } from './query.ts';
import type { Query } from './query.ts';
import { TcpClients } from './tcp-clients.ts';
import { TcpExchange } from './tcp-exchange.ts';
import { UdpExchange } from './udp-exchange.ts';
import type { Exchange } from './udp-exchange.ts';
import { upstreamsOf } from './upstream.ts';

/** Datagrams that are taken before others have their turn. */
const DATAGRAMS_AT_ONCE = 32;
const CONNECTIONS_AT_ONCE = 8;

/** Serves until disposed; its descriptors stay open. */
export class SandboxServer implements Disposable {
  readonly #ground: ServerGround;
  readonly #sockets: ServerSockets;
  readonly #hostConf: () => ResolvConf;
  readonly #clients: TcpClients;
  readonly #asker: Asker;
  readonly #watches: readonly Disposable[];
  /** By who asked, so that somebody who asks again while he waits is not asked for twice. */
  readonly #outstanding = new Map<string, Exchange>();
  #view: NameView;
  #names: Names;
  #turn = 0;
  #connections = 0;

  constructor(
    ground: ServerGround,
    { sockets, view }: { readonly sockets: ServerSockets; readonly view: NameView },
    hostConf: () => ResolvConf,
  ) {
    this.#ground = ground;
    this.#sockets = sockets;
    this.#hostConf = hostConf;
    this.#asker = { netns: sockets.netns, patience: new Patience(ground.clock) };
    this.#view = view;
    this.#names = new Names(view);
    this.#clients = new TcpClients(ground.clock, (message, respond) => {
      this.#connections += 1;
      this.#take(message, 'tcp', `tcp ${String(this.#connections)}`, respond);
    });
    this.#watches = [
      ground.wakes.on(sockets.udp, () => this.#receiveSome()),
      ground.wakes.on(sockets.tcp, () => this.#acceptSome()),
    ];
  }

  set view(view: NameView) {
    this.#view = view;
    this.#names = new Names(view);
  }

  [Symbol.dispose](): void {
    for (const watch of this.#watches) watch[Symbol.dispose]();
    this.#clients[Symbol.dispose]();
    for (const exchange of this.#outstanding.values()) {
      exchange.cancel();
      this.#ground.allowance.giveBack();
    }
    this.#outstanding.clear();
  }

  #receiveSome(): void {
    const { internet } = this.#ground;
    for (let count = 0; count < DATAGRAMS_AT_ONCE; count++) {
      const datagram = attempt(() => internet.receiveFrom(this.#sockets.udp));
      if (datagram === null) return;
      const { peer, destination } = datagram;
      // A question that waits for others needs its bytes for longer than until the next call.
      this.#take(Buffer.from(datagram.bytes), 'udp', peer.toString('latin1'), (bytes) => {
        attempt(() => internet.sendTo(this.#sockets.udp, bytes, { peer, destination }));
      });
    }
  }

  #acceptSome(): void {
    const { internet } = this.#ground;
    for (let count = 0; count < CONNECTIONS_AT_ONCE; count++) {
      const fd: Fd | null = attempt(() => internet.accept(this.#sockets.tcp));
      if (fd === null) return;
      if (attempt(() => this.#clients.add(fd)) !== true) internet.close([fd]);
    }
  }

  #take(bytes: Buffer, transport: Transport, client: string, respond: (answer: Buffer) => void): void {
    const packet = readPacket(bytes);
    if (packet.kind === 'noise') return;
    if (packet.kind === 'refused') {
      respond(refusal(packet.bytes, packet.rcode));
      return;
    }
    const { query } = packet;
    const own = this.#answerOf(query, transport);
    if (own !== null) respond(own);
    else this.#forward(query, transport, `${client} ${String(query.id)}`, respond);
  }

  /** Null: somebody else must be asked. */
  #answerOf(query: Query, transport: Transport): Buffer | null {
    const { name, edns } = query;
    if (edns !== null && edns.version > 0) return answer(query, transport, { rcode: RCODE.BADVERS });
    if (name === null || query.class !== CLASS_IN) return null;
    return this.#ownAnswerOf(query, transport, name) ?? this.#refusalOf(query, transport, name);
  }

  #ownAnswerOf(query: Query, transport: Transport, name: string): Buffer | null {
    const { type } = query;
    switch (type) {
      case RECORD.A:
      case RECORD.AAAA: {
        const known = this.#names.resolve(name);
        if (known === null) return this.#isForNobodyElse(name) ? answer(query, transport) : null;
        return answer(query, transport, { records: this.#rotated(type === RECORD.A ? known.ipv4 : known.ipv6) });
      }
      // A name that exists has no mail server but itself: others know nothing of it.
      case RECORD.MX:
        return this.#names.resolve(name) === null ? null : answer(query, transport);
      case RECORD.PTR: {
        const found = this.#names.reverse(name);
        return found === null ? null : answer(query, transport, { records: [found] });
      }
      default:
        return null;
    }
  }

  /** The host's resolver would tell of containers on networks that this one is not on. */
  #refusalOf(query: Query, transport: Transport, name: string): Buffer | null {
    const { hostDomain } = this.#ground;
    const isOfHost = hostDomain !== null && `.${name}`.endsWith(`.${hostDomain}`);
    return isOfHost ? answer(query, transport, { rcode: RCODE.NXDOMAIN }) : null;
  }

  /** As Docker has it: who sets ndots himself wants names without a dot to be asked with a search domain only. */
  #isForNobodyElse(name: string): boolean {
    if (name.includes('.')) return false;
    const { options = [] } = this.#view;
    return setsNdots(options.length > 0 ? options : this.#hostConf().options);
  }

  #forward(query: Query, transport: Transport, key: string, respond: (answer: Buffer) => void): void {
    const fail = (rcode: number): void => respond(answer(query, transport, { rcode }));
    const servers = upstreamsOf(this.#view, this.#hostConf());
    if (servers.length === 0) {
      fail(RCODE.SERVFAIL);
      return;
    }
    if (this.#outstanding.has(key)) return;
    if (!this.#ground.allowance.take(this.#outstanding.size)) {
      fail(RCODE.REFUSED);
      return;
    }
    const state = { isDone: false };
    const done = (reply: Buffer | null): void => {
      state.isDone = true;
      this.#outstanding.delete(key);
      this.#ground.allowance.giveBack();
      if (reply === null) fail(RCODE.SERVFAIL);
      else respond(transport === 'udp' ? cutTo(query, reply) : reply);
    };
    const Way = transport === 'udp' ? UdpExchange : TcpExchange;
    const exchange = new Way(this.#ground, this.#asker, { query, servers }, done);
    // Where nobody could be asked at all it is over already.
    if (!state.isDone) this.#outstanding.set(key, exchange);
  }

  #rotated(records: readonly Buffer[]): readonly Buffer[] {
    if (records.length < 2) return records;
    this.#turn = (this.#turn + 1) % records.length;
    return [...records.slice(this.#turn), ...records.slice(0, this.#turn)];
  }
}

/** What fails for one client must not end the service for all: null then. */
function attempt<T>(job: () => T): T | null {
  try {
    return job();
  } catch {
    return null;
  }
}
