/**
 * Attach and exec: the connection becomes the process's stdio.
 *
 * With an `Upgrade` field in the request the answer is `101 UPGRADED`, else a `200` without length and chunks; raw bytes
 * follow both ways. The client's half-close ends stdin and nothing else; when the process's output has ended we close.
 */
import type { Attachment } from '../../engine/index.ts';
import type { Context } from '../context.ts';
import { messageOf } from '../../base/errors.ts';
import { logFailure } from '../errors.ts';
import { outputSink } from './mux.ts';

/**
 * Takes the connection over and copies until the attachment ends. `bare`: without the fields that every answer has, as
 * dockerd answers attach (but not exec). Errors from now on are told on the stream.
 */
export async function runHijacked(
  context: Context,
  attachment: Attachment,
  { stdin, bare = false }: { readonly stdin: boolean; readonly bare?: boolean },
): Promise<void> {
  const { reply, signal, fields, version, logger } = context;
  const isMultiplexed = !attachment.terminal && version.atLeast('1.42');
  const connection = reply.takeOver({
    upgrade: fields.has('upgrade'),
    bare,
    contentType: `application/vnd.docker.${isMultiplexed ? 'multiplexed' : 'raw'}-stream`,
  });
  const output = outputSink(connection, attachment.terminal);
  // Unread input would hide the client's going away from us.
  if (!stdin) connection.input.resume();
  try {
    await attachment.run({ stdin: stdin ? connection.input : null, output, signal });
  } catch (error) {
    if (signal.aborted) return;
    logFailure(logger, 'a taken-over stream', error);
    await output.write('stderr', Buffer.from(`${messageOf(error)}\n`));
  }
}
