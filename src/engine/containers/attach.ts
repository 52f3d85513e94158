import { ConflictError } from '../../base/errors.ts';
import type { AttachSession } from '../runtime/monitor.ts';
import type { Container, ParkedAttach } from './container.ts';
import { copyStreams } from './copy-streams.ts';
import { NO_KEYS, parseDetachKeys } from './detach-keys.ts';
import { isRestarting } from './errors.ts';
import { logs } from './logs.ts';
import { publish, type Room } from './room.ts';
import type { AttachOptions, Attachment, ClientStreams } from './types.ts';

/**
 * Prepares an attach. To a container without a process the attach is parked: the next start connects it before the
 * process runs, so that nothing is missed.
 */
export async function attach(room: Room, ref: string, options: AttachOptions): Promise<Attachment> {
  const container = room.registry.resolve(ref);
  const keys = parseDetachKeys(options.detachKeys);
  if (container.state.status === 'paused') {
    throw new ConflictError(`container ${ref} is paused, unpause the container before attach`);
  }
  if (container.state.status === 'restarting') throw isRestarting(ref);
  const connected = options.stream ? connect(container) : null;
  publish(room, container, 'attach');
  const { terminal, stdinOnce } = container.document.spec;
  return {
    terminal,
    run: async (client) => {
      if (options.logs) await replay(room, container, options, client);
      const session = connected === null ? null : await connected.session(client.signal);
      if (session === null) return;
      const detached = await copyStreams(session, client, {
        keys: terminal ? keys : NO_KEYS,
        stdin: options.stdin,
        stdout: options.stdout,
        stderr: options.stderr,
        closeStdin: stdinOnce && !terminal,
      });
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

async function replay(room: Room, container: Container, options: AttachOptions, client: ClientStreams): Promise<void> {
  const { batches } = logs(room, container.id, {
    stdout: options.stdout,
    stderr: options.stderr,
    follow: false,
    tail: null,
    since: null,
    until: null,
    signal: client.signal,
  });
  for await (const batch of batches) {
    for (const { stream, data } of batch) await client.output.write(stream, data);
  }
}
