import type { OutputSink } from '../../oci/streams.ts';
import type { AttachSession } from '../../runtime/monitor.ts';
import { DetachWatch } from './detach-keys.ts';
import type { ClientStreams } from '../types.ts';

/** How a client is joined to a process. */
export interface CopyOptions {
  /** Bytes that let the client go without ending the process; empty for none. */
  readonly keys: Buffer;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** The client's end of input is the process's too. */
  readonly closeStdin: boolean;
}

/**
 * Copies both ways until the process has closed its output, the client goes, or the detach keys are typed. True when
 * they were. The session is disposed of at the end.
 */
export async function copyStreams(
  session: AttachSession,
  client: ClientStreams,
  options: CopyOptions,
): Promise<boolean> {
  await using held = session;
  const { promise: left, resolve: leave } = Promise.withResolvers<boolean>();
  const onGone = (): void => leave(false);
  client.signal.addEventListener('abort', onGone, { once: true });
  if (client.signal.aborted) leave(false);
  const output = held.pipe(selected(client.output, options)).then(
    () => false,
    () => false,
  );
  const stop =
    options.stdin && client.stdin !== null
      ? copyInput(held, client.stdin, options, () => leave(true))
      : (): void => undefined;
  try {
    return await Promise.race([output, left]);
  } finally {
    client.signal.removeEventListener('abort', onGone);
    stop();
  }
}

function selected(sink: OutputSink, { stdout, stderr }: CopyOptions): OutputSink {
  if (stdout && stderr) return sink;
  return {
    write: (stream, chunk) => ((stream === 'stdout' ? stdout : stderr) ? sink.write(stream, chunk) : undefined),
  };
}

/** Forwards what is typed; returns how to stop. */
function copyInput(
  session: AttachSession,
  stdin: NonNullable<ClientStreams['stdin']>,
  { keys, closeStdin }: CopyOptions,
  onDetach: () => void,
): () => void {
  const watch = new DetachWatch(keys);
  const forward = (bytes: Buffer): void => {
    if (bytes.length === 0 || session.stdin.destroyed || session.stdin.writableEnded) return;
    if (session.stdin.write(bytes)) return;
    stdin.pause();
    session.stdin.once('drain', () => stdin.resume());
  };
  const onData = (chunk: Buffer): void => {
    const { forward: bytes, detached } = watch.feed(chunk);
    forward(bytes);
    if (detached) onDetach();
  };
  const onEnd = (): void => {
    forward(watch.rest());
    if (closeStdin) session.stdin.end();
  };
  // The process may close its stdin long before the client stops typing.
  session.stdin.on('error', () => undefined);
  stdin.on('data', onData);
  stdin.on('end', onEnd);
  return () => {
    stdin.removeListener('data', onData);
    stdin.removeListener('end', onEnd);
  };
}
