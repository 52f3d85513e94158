/**
 * A reverse proxy in front of a registry that misbehaves on demand: cuts the link, lies, answers errors. Each request
 * is shown to `decide`, which says what to do with it.
 */
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Misbehaviour =
  /** Answer this in place of the registry. */
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string | Buffer;
    }
  /** Send this many bytes of the true body, then cut the connection. */
  | { readonly kind: 'cut'; readonly afterBytes: number }
  /** Flip a bit of the body's first byte. */
  | { readonly kind: 'corrupt' }
  /** Close the connection before a status line. */
  | { readonly kind: 'hang-up' }
  /** Send this many bytes, then nothing more until the client goes. */
  | { readonly kind: 'stall'; readonly afterBytes: number }
  /** Take the request and never answer. */
  | { readonly kind: 'hang' }
  /** Answer what this makes of the registry's whole answer. */
  | { readonly kind: 'rewrite'; readonly rewrite: (answer: WholeAnswer) => WholeAnswer };

/** An answer that has been read to its end. Its length is told anew. */
export interface WholeAnswer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

export interface ProxiedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  /** How many requests of this method and path came before. */
  readonly earlier: number;
}

export interface MisbehavingProxy extends AsyncDisposable {
  readonly host: string;
  /** Every request so far. */
  readonly requests: readonly ProxiedRequest[];
  /** How many bytes of bodies it has sent. */
  readonly sentBytes: number;
  /** How many answers are under way. */
  readonly openCount: number;
}

/** Starts a proxy before `upstream` (host:port; null when `decide` answers everything). */
export async function startProxy(
  upstream: string | null,
  decide: (request: ProxiedRequest) => Misbehaviour | null,
): Promise<MisbehavingProxy> {
  const requests: ProxiedRequest[] = [];
  let sentBytes = 0;
  let openCount = 0;
  const server = createServer((incoming, answer) => {
    const method = incoming.method ?? 'GET';
    const path = incoming.url ?? '/';
    const earlier = requests.filter((past) => past.method === method && past.path === path).length;
    const request = { method, path, headers: incoming.headers, earlier };
    requests.push(request);
    openCount += 1;
    answer.on('close', () => (openCount -= 1));
    const write = answer.write.bind(answer) as (chunk: Buffer, ...rest: unknown[]) => boolean;
    answer.write = ((chunk: Buffer, ...rest: unknown[]) => {
      sentBytes += chunk.length;
      return write(chunk, ...rest);
    }) as typeof answer.write;
    serve(upstream, incoming, answer, decide(request));
  });
  const { promise: listening, resolve } = Promise.withResolvers<void>();
  server.listen(0, '127.0.0.1', () => resolve());
  await listening;
  const { port } = server.address() as AddressInfo;
  return {
    host: `127.0.0.1:${String(port)}`,
    requests,
    get sentBytes() {
      return sentBytes;
    },
    get openCount() {
      return openCount;
    },
    async [Symbol.asyncDispose]() {
      const { promise: closed, resolve: onClosed } = Promise.withResolvers<void>();
      server.close(() => onClosed());
      server.closeAllConnections();
      await closed;
    },
  };
}

function serve(
  upstream: string | null,
  incoming: IncomingMessage,
  answer: ServerResponse,
  misbehaviour: Misbehaviour | null,
): void {
  if (misbehaviour?.kind === 'hang-up') {
    incoming.socket.destroy();
    return;
  }
  if (misbehaviour?.kind === 'hang') return;
  if (misbehaviour?.kind === 'answer') {
    answer.writeHead(misbehaviour.status, misbehaviour.headers);
    answer.end(misbehaviour.body ?? '');
    return;
  }
  if (upstream === null) {
    answer.writeHead(404);
    answer.end();
    return;
  }
  const [hostname, port] = upstream.split(':');
  const headers = { ...incoming.headers, host: upstream };
  const onward = httpRequest({ hostname, port, method: incoming.method, path: incoming.url, headers }, (reply) => {
    // A redirect or an upload location must lead back through the proxy.
    if (misbehaviour?.kind === 'rewrite') {
      void rewriteInto(reply, answer, misbehaviour.rewrite);
      return;
    }
    const location = reply.headers.location?.replace(`//${upstream}`, `//${incoming.headers.host ?? ''}`);
    answer.writeHead(reply.statusCode ?? 500, { ...reply.headers, ...(location === undefined ? {} : { location }) });
    relay(reply, answer, misbehaviour);
  });
  onward.on('error', () => answer.destroy());
  answer.on('close', () => onward.destroy());
  incoming.pipe(onward);
}

async function rewriteInto(
  reply: IncomingMessage,
  answer: ServerResponse,
  rewrite: (answer: WholeAnswer) => WholeAnswer,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of reply as AsyncIterable<Buffer>) chunks.push(chunk);
  const { status, headers, body } = rewrite({
    status: reply.statusCode ?? 500,
    headers: reply.headers,
    body: Buffer.concat(chunks),
  });
  answer.writeHead(status, { ...headers, 'content-length': String(body.length) });
  answer.write(body);
  answer.end();
}

function relay(reply: IncomingMessage, answer: ServerResponse, misbehaviour: Misbehaviour | null): void {
  if (misbehaviour === null) {
    reply.pipe(answer);
    return;
  }
  let sent = 0;
  reply.on('data', (chunk: Buffer) => {
    if (misbehaviour.kind === 'corrupt') {
      const wrong = Buffer.from(chunk);
      if (sent === 0) wrong[0] = (wrong[0] ?? 0) ^ 1;
      sent += chunk.length;
      answer.write(wrong);
      return;
    }
    if (misbehaviour.kind !== 'cut' && misbehaviour.kind !== 'stall') return;
    const room = misbehaviour.afterBytes - sent;
    if (room <= 0) return;
    const part = chunk.subarray(0, room);
    sent += part.length;
    answer.write(part, () => {
      if (misbehaviour.kind === 'cut' && sent >= misbehaviour.afterBytes) answer.destroy();
    });
  });
  reply.on('end', () => {
    if (misbehaviour.kind === 'corrupt') answer.end();
  });
}
