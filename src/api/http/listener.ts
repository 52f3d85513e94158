import { fstatSync, readFileSync } from 'node:fs';
import { chmod, chown, lstat, mkdir, unlink } from 'node:fs/promises';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { ConflictError, InvalidArgumentError, errnoCodeOf } from '../../base/errors.ts';

/** Where to listen. */
export type ListenTarget =
  /** Mode 0660 and owned by root and group `gid` (null: as made). A dead socket file is replaced, a live one is an error. */
  | { readonly kind: 'unix'; readonly path: string; readonly gid: number | null }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  /** A listening socket that was handed in (socket activation); its file is never touched. */
  | { readonly kind: 'fd'; readonly fd: number };

/** One listening socket. */
export interface Listener {
  /** Where it really listens (the port, when 0 was asked). */
  readonly address: string;
  /** Whether its connections come over the network. */
  readonly isNetwork: boolean;
  /** Takes no more connections, and the socket file away when it was made here. */
  close(): Promise<void>;
}

const SOCKET_MODE = 0o660;

/**
 * Listens; `onConnection` gets sockets whose halves close one by one, and whether they came over the network.
 * ConflictError when somebody listens already.
 */
export async function listen(
  target: ListenTarget,
  onConnection: (socket: Socket, isNetwork: boolean) => void,
): Promise<Listener> {
  const server = createServer({ allowHalfOpen: true, noDelay: true });
  let isNetwork = target.kind === 'tcp';
  server.on('connection', (socket) => onConnection(socket, isNetwork));
  if (target.kind === 'unix') await clearStale(target.path);
  try {
    await start(server, target);
  } catch (error) {
    throw errnoCodeOf(error) === 'EADDRINUSE' ? inUse(target) : error;
  }
  server.on('error', () => undefined);
  isNetwork = typeof server.address() === 'object' && server.address() !== null;
  if (target.kind === 'unix') await protect(target);
  return {
    address: addressOf(server, target),
    isNetwork,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      // Connections are the caller's to end: do not wait for them here.
      await Promise.race([closed, Promise.resolve()]);
      if (target.kind === 'unix') await unlink(target.path).catch(() => undefined);
    },
  };
}

function start(server: Server, target: ListenTarget): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', () => {
      server.removeListener('error', reject);
      resolve();
    });
    const backlog = 4096;
    switch (target.kind) {
      case 'unix': {
        // Nobody may connect between bind and chmod.
        const before = process.umask(0o177);
        try {
          server.listen({ path: target.path, backlog });
        } finally {
          process.umask(before);
        }
        return;
      }
      case 'tcp':
        server.listen({ host: target.host, port: target.port, backlog });
        return;
      case 'fd':
        server.listen({ fd: target.fd, backlog });
    }
  });
}

/** Removes a socket file that nobody answers on; a file of another kind is not ours to remove. */
async function clearStale(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const stat = await lstat(path).catch(() => null);
  if (stat === null) return;
  if (!stat.isSocket())
    throw new InvalidArgumentError(`can't create unix socket ${path}: file exists and is not a socket`);
  if (await answers(path)) throw inUse({ kind: 'unix', path, gid: null });
  await unlink(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createConnection({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    // A full backlog (EAGAIN) is a live server too.
    probe.once('error', (error) => resolve(errnoCodeOf(error) === 'EAGAIN'));
  });
}

async function protect(target: { readonly path: string; readonly gid: number | null }): Promise<void> {
  await chmod(target.path, SOCKET_MODE);
  if (target.gid !== null && process.getuid?.() === 0) await chown(target.path, 0, target.gid);
}

function inUse(target: ListenTarget): ConflictError {
  switch (target.kind) {
    case 'unix':
      return new ConflictError(`can't create unix socket ${target.path}: address already in use`);
    case 'tcp':
      return new ConflictError(`listen tcp ${target.host}:${String(target.port)}: bind: address already in use`);
    case 'fd':
      return new ConflictError(`listen on fd ${String(target.fd)}: address already in use`);
  }
}

/** Node does not know the path of a unix socket that it did not bind; the kernel's table does. */
function inheritedAddress(fd: number): string {
  const inode = String(fstatSync(fd).ino);
  // Number, reference count, protocol, flags, type, state, inode, path.
  const rows = readFileSync('/proc/net/unix', 'utf8')
    .split('\n')
    .map((line) => line.split(/\s+/));
  const path = rows.find((row) => row[6] === inode)?.[7];
  return path === undefined ? `fd://${String(fd)}` : `unix://${path}`;
}

function addressOf(server: Server, target: ListenTarget): string {
  const address = server.address();
  if (typeof address === 'string') return `unix://${address}`;
  if (address === null) return target.kind === 'fd' ? inheritedAddress(target.fd) : '';
  return `tcp://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${String(address.port)}`;
}
