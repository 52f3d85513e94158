/** The sockets of one sandbox's name server. */
import { closeSync, fstatSync } from 'node:fs';
import { messageOf } from '../../../base/errors.ts';
import type { Logger } from '../../../base/logger.ts';
import { KernelError } from '../../kernel/kernel.ts';
import type { Fd, Kernel } from '../../kernel/kernel.ts';
import type { InternetCalls } from '../../kernel/internet.ts';
import type { KeptSockets } from '../kept-sockets.ts';
import type { NameServiceSandbox } from '../name-service.ts';
import type { ServerSockets } from './messages.ts';
import { redirectTo, SERVICE_ADDRESS, SERVICE_PORT } from './redirect.ts';

/** Where the kernel chooses ports as well: programs keep clear of it. */
const FIRST_PORT = 32_768;
const PORTS = 28_000;
/** A port that is taken is passed over. */
const MAX_ATTEMPTS = 16;
const STEP = 7919;
/** Connections that wait to be taken. */
const BACKLOG = 128;

/** What is needed of the ground. */
export interface ListeningParts {
  readonly kernel: Pick<Kernel, 'namespaces' | 'nft'>;
  readonly internet: Pick<InternetCalls, 'bind' | 'listen' | 'close'>;
  readonly logger: Logger;
  readonly kept: KeptSockets | null;
}

/** A server's sockets, and the name of the one that is kept while the engine is away. */
export interface Listening {
  readonly sockets: ServerSockets;
  readonly keptName: string;
}

/** The two that questions come by, on one port. */
interface Opened {
  readonly udp: Fd;
  readonly tcp: Fd;
  readonly port: number;
}

/** Makes them inside the sandbox, and leads port 53 there; leaves nothing behind on failure. */
export function listenInside(parts: ListeningParts, sandbox: NameServiceSandbox): Listening {
  const { namespaces } = parts.kernel;
  const netns = namespaces.openNetns(sandbox.netnsPath);
  try {
    // The number of a namespace is no other's while anybody holds it, as a kept socket does.
    const prefix = `names-${String(fstatSync(netns).ino)}-`;
    const opened = namespaces.within(netns, () => adoptKept(parts, prefix) ?? listenHere(parts, sandbox));
    const keptName = `${prefix}${String(opened.port)}`;
    parts.kept?.keep(keptName, opened.udp);
    return { sockets: { udp: opened.udp, tcp: opened.tcp, netns }, keptName };
  } catch (error) {
    closeSync(netns);
    throw error;
  }
}

/** Goes on with the socket of the engine's last run, and with what waits in it. Null when there is none, or no use of it. */
function adoptKept({ kernel, internet, kept, logger }: ListeningParts, prefix: string): Opened | null {
  const found = kept?.take(prefix) ?? null;
  if (found === null) return null;
  const port = Number(found.name.slice(prefix.length));
  const opened = [found.fd];
  try {
    const tcp = internet.bind({ protocol: 'tcp', address: SERVICE_ADDRESS, port });
    opened.push(tcp);
    internet.listen(tcp, BACKLOG);
    if (port !== SERVICE_PORT) redirectTo(kernel.nft, port);
    return { udp: found.fd, tcp, port };
  } catch (error) {
    internet.close(opened);
    kept?.forget(found.name);
    logger.debug('a kept socket of the name service is of no use', { error: messageOf(error) });
    return null;
  }
}

function listenHere(parts: ListeningParts, sandbox: NameServiceSandbox): Opened {
  const { kernel, internet, logger } = parts;
  const opened = listenSomewhere(internet, sandbox);
  try {
    redirectTo(kernel.nft, opened.port);
    return opened;
  } catch (error) {
    internet.close([opened.udp, opened.tcp]);
    if (!(error instanceof KernelError)) throw error;
    // Without a packet filter the port itself must do: a server of the container's own then gets no other address's.
    logger.debug('the name service takes port 53 itself', { error: messageOf(error) });
    return listenOn(internet, SERVICE_PORT);
  }
}

/** One and the same port after a restart, if it can be: then what leads there is right already. */
function listenSomewhere(internet: ListeningParts['internet'], { containerId }: NameServiceSandbox): Opened {
  const start = Number.parseInt(containerId.slice(0, 8), 16) || 0;
  for (let attempt = 0; ; attempt++) {
    const port = FIRST_PORT + ((start + attempt * STEP) % PORTS);
    try {
      return listenOn(internet, port);
    } catch (error) {
      if (!(error instanceof KernelError) || error.code !== 'EADDRINUSE' || attempt === MAX_ATTEMPTS) throw error;
    }
  }
}

function listenOn(internet: ListeningParts['internet'], port: number): Opened {
  const opened: Fd[] = [];
  try {
    const udp = internet.bind({ protocol: 'udp', address: SERVICE_ADDRESS, port });
    opened.push(udp);
    const tcp = internet.bind({ protocol: 'tcp', address: SERVICE_ADDRESS, port });
    opened.push(tcp);
    internet.listen(tcp, BACKLOG);
    return { udp, tcp, port };
  } catch (error) {
    internet.close(opened);
    throw error;
  }
}
