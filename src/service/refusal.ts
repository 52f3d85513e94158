import type { Server } from 'node:http';
import type { Clock } from '../base/clock.ts';
import type { InheritedSocket } from './activation.ts';

/** Who activated the service waits in the socket's queue already: this is for the accept alone. */
const FIRST_WAIT_MS = 50;
/** A client asks twice (ping, then its request), on a connection each. */
const NEXT_WAIT_MS = 300;
/** However many come: the service is to fail, and be seen to. */
const LIMIT_MS = 5_000;

/**
 * Tells the clients that wait at the inherited sockets why there is no engine: every request is answered by 503 with the
 * message, which the docker CLI prints. Without this, the connection that started the service would start it again and
 * again until systemd gives the socket up, and the client would hear nothing. Returns when nobody has come for a while.
 */
export async function tellWaiting(sockets: readonly InheritedSocket[], message: string, clock: Clock): Promise<void> {
  if (sockets.length === 0) return;
  // Only now: as a module it brings Node's fetch with it, 20 ms and some MiB.
  const { createServer } = await import('node:http');
  const body = JSON.stringify({ message });
  const { promise: over, resolve: end } = Promise.withResolvers<void>();
  using timers = new DisposableStack();
  let quiet = clock.after(FIRST_WAIT_MS, end);
  timers.defer(() => quiet[Symbol.dispose]());
  timers.use(clock.after(LIMIT_MS, end));
  const servers = sockets.map(({ fd }) => {
    const server = createServer((incoming, outgoing) => {
      incoming.resume();
      outgoing.writeHead(503, { 'content-type': 'application/json', connection: 'close' });
      outgoing.end(body);
    });
    server.on('connection', () => {
      quiet[Symbol.dispose]();
      quiet = clock.after(NEXT_WAIT_MS, end);
    });
    // A socket that cannot be listened on has nobody to tell.
    server.on('error', () => undefined);
    return server.listen({ fd });
  });
  await over;
  await Promise.all(servers.map(closed));
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
