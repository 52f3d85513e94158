import { messageOf } from '../../../base/errors.ts';
import { frame } from '../../../base/stdio-frame.ts';
import type { Attachment, OutputSink } from '../../../engine/index.ts';
import { decodeDictionary, type Dictionary } from '../../bus/dictionary.ts';
import { done, type MethodHandler } from '../../bus/exported.ts';
import type { OpenStreams, ServedStream } from '../../bus/open-streams.ts';
import type { Subject } from './parts.ts';

const ATTACH_KEYS = { Stdin: 'b', Stdout: 'b', Stderr: 'b', Logs: 'b', DetachKeys: 's' } as const;

export function attachMethods(subject: Subject): Readonly<Record<string, MethodHandler>> {
  const { parts, id } = subject;
  return {
    Attach: async (_call, options: Dictionary) => attach(subject, options),
    ResizeTTY: async (_call, rows: number, columns: number) =>
      done(parts.engine.containers.resize(id, { height: rows, width: columns })),
  };
}

/** Without options: all three streams, from now on. */
async function attach({ parts, id }: Subject, options: Dictionary): Promise<readonly unknown[]> {
  const given = decodeDictionary(ATTACH_KEYS, options);
  const stdin = given.Stdin ?? true;
  const attachment = await parts.engine.containers.attach(id, {
    stdin,
    stdout: given.Stdout ?? true,
    stderr: given.Stderr ?? true,
    logs: given.Logs ?? false,
    stream: true,
    detachKeys: given.DetachKeys ?? null,
  });
  return [serveAttachment(parts.streams, attachment, { stdin })];
}

/**
 * Joins a client's descriptor to a process until the process ends, the client goes, or it types the detach keys. Output is
 * framed unless the process has a terminal. `onGone`: the client has gone before the process.
 */
export function serveAttachment(
  streams: OpenStreams,
  attachment: Attachment,
  { stdin, onGone }: { readonly stdin: boolean; readonly onGone?: () => void },
): number {
  const serve = async (stream: ServedStream): Promise<void> => {
    const output = sinkOf(stream, attachment.terminal);
    try {
      await attachment.run({ stdin: stdin ? stream.input : null, output, signal: stream.signal });
    } catch (error) {
      // The call was answered long ago: only the stream can tell.
      if (!stream.signal.aborted) await output.write('stderr', Buffer.from(`${messageOf(error)}\n`));
    }
    if (stream.signal.aborted) onGone?.();
  };
  return stdin ? streams.converse(serve) : streams.send(serve);
}

function sinkOf(stream: ServedStream, terminal: boolean): OutputSink {
  return {
    write: (name, chunk) =>
      chunk.length === 0 ? undefined : stream.write(terminal ? Buffer.from(chunk) : frame(name, [chunk])),
  };
}
