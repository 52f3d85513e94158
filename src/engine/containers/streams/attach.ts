import { ConflictError } from '../../../base/errors.ts';
import type { Timestamp } from '../../../base/clock.ts';
import type { AttachSession } from '../../runtime/monitor.ts';
import type { Container, ParkedAttach } from '../container.ts';
import { copyStreams, type CopyOptions } from './copy-streams.ts';
import { NO_KEYS, parseDetachKeys } from './detach-keys.ts';
import { isRestarting } from '../errors.ts';
import { logs } from './logs.ts';
import { publish, type Room } from '../room.ts';
import type { AttachOptions, Attachment, ClientStreams } from '../types.ts';

/**
 * Prepares an attach. To a container without a process the attach is parked: the next start connects it before the
 * process runs, so that nothing is missed. It ends with that process, also where a policy restarts the container.
 */
export async function attach(room: Room, ref: string, options: AttachOptions): Promise<Attachment> {
  const container = room.registry.resolve(ref);
  const keys = parseDetachKeys(options.detachKeys);
  if (container.state.status === 'paused') {
    throw new ConflictError(`container ${ref} is paused, unpause the container before attach`);
  }
  if (container.state.status === 'restarting') throw isRestarting(ref);
  // Told while it still can be an answer: a log that cannot be read.
  if (options.logs) logs(room, container.id, logOptions(options, AbortSignal.abort(), null));
  // What follows a run that has ended is the next one's, which the session brings.
  const history = container.task === null ? room.clock.now() : null;
  const connected = options.stream ? connect(container) : null;
  publish(room, container, 'attach');
  const { terminal, stdinOnce } = container.document.spec;
  const copy: CopyOptions = {
    keys: terminal ? keys : NO_KEYS,
    stdin: options.stdin,
    stdout: options.stdout,
    stderr: options.stderr,
    closeStdin: stdinOnce && !terminal,
  };
  return {
    terminal,
    run: async (client) => {
      const follows = options.logs && connected !== null && history === null;
      if (options.logs && !follows) await replay(room, container, options, client, history);
      const session = connected === null ? null : await connected.session(client.signal);
      if (session === null) {
        // It has ended meanwhile: all it said is in the log.
        if (follows) await replay(room, container, options, client, null);
        return;
      }
      const detached = await container.audience.during(
        follows ? copyThroughLog(room, container, options, client, session, copy) : copyStreams(session, client, copy),
      );
      if (detached) publish(room, container, 'detach');
    },
  };
}

interface Connecting {
  /** Null when there will be no process, or the client has gone before there was one. */
  session(signal: AbortSignal): Promise<AttachSession | null>;
}

function connect(container: Container): Connecting {
  const { task } = container;
  if (task !== null) return { session: () => task.attach().catch(() => null) };
  const { promise, resolve } = Promise.withResolvers<AttachSession | null>();
  let hasLeft = false;
  const parked: ParkedAttach = (session) => {
    // The client went while it was being connected: nobody else would ever let go of the session.
    if (hasLeft) session?.[Symbol.asyncDispose]().then(undefined, () => undefined);
    resolve(session);
  };
  container.parked.add(parked);
  return {
    session: (signal) => {
      const leave = (): void => {
        hasLeft = true;
        container.parked.delete(parked);
        resolve(null);
      };
      if (signal.aborted) leave();
      signal.addEventListener('abort', leave, { once: true });
      return promise;
    },
  };
}

/**
 * The log so far and live output without a seam: all output comes from the log, which is followed until the process has
 * closed its end; the session only carries input, and tells of that end. The monitor writes to the log first. Read from
 * the one and then from the other, what is said in between would be missing, or there twice.
 */
async function copyThroughLog(
  room: Room,
  container: Container,
  options: AttachOptions,
  client: ClientStreams,
  session: AttachSession,
  copy: CopyOptions,
): Promise<boolean> {
  const [over, left] = [new AbortController(), new AbortController()];
  const signal = AbortSignal.any([client.signal, left.signal]);
  const { batches } = logs(room, container.id, logOptions({ ...options, follow: true }, signal, null), over.signal);
  const told = tell(batches, client);
  // A client to whom the log can no longer be told is not kept for its input.
  told.catch(() => left.abort());
  const silent = { stdin: client.stdin, output: { write: () => undefined }, signal };
  const detached = await copyStreams(session, silent, copy);
  if (detached) left.abort();
  else over.abort();
  await told;
  return detached;
}

function replay(
  room: Room,
  container: Container,
  options: AttachOptions,
  client: ClientStreams,
  until: Timestamp | null,
): Promise<void> {
  return tell(logs(room, container.id, logOptions(options, client.signal, until)).batches, client);
}

async function tell(batches: ReturnType<typeof logs>['batches'], { output }: ClientStreams): Promise<void> {
  for await (const batch of batches) {
    for (const { stream, data } of batch) await output.write(stream, data);
  }
}

function logOptions(
  { stdout, stderr, follow = false }: Pick<AttachOptions, 'stdout' | 'stderr'> & { readonly follow?: boolean },
  signal: AbortSignal,
  until: Timestamp | null,
): Parameters<typeof logs>[2] {
  return { stdout, stderr, follow, tail: null, since: null, until, signal };
}
