import type { ApiClient } from '../client.ts';
import { segment } from '../client.ts';
import { DaemonError, ExitError, runExitCode } from '../errors.ts';
import { numberOf, objectOf, parseJson, textOf, textsOf } from '../json.ts';
import { createBody } from '../run-request.ts';
import type { RunOptions } from '../run-request.ts';
import { converse, followTerminalSize } from '../session.ts';
import type { Stdio } from '../session.ts';
import { proxySignals } from '../signals.ts';
import { pull } from './images.ts';

/** Creates a container and runs it; resolves with its exit code, or 0 once it runs detached. */
export async function run(
  client: ApiClient,
  stdio: Stdio,
  image: string,
  command: readonly string[],
  options: RunOptions,
): Promise<number> {
  if (options.tty === true && options.interactive === true && options.detach !== true && stdio.stdin.isTTY !== true) {
    throw new ExitError(1, 'the input device is not a TTY');
  }
  try {
    const id = await create(client, stdio, image, command, options);
    if (options.detach === true) {
      await client.post(`/containers/${id}/start`);
      stdio.stdout.write(`${id}\n`);
      return 0;
    }
    return await runAttached(client, stdio, id, options);
  } catch (error) {
    if (!(error instanceof DaemonError)) throw error;
    throw new ExitError(runExitCode(error), `moor: ${error.message}`);
  }
}

async function create(
  client: ApiClient,
  stdio: Stdio,
  image: string,
  command: readonly string[],
  options: RunOptions,
): Promise<string> {
  const body = createBody(image, command, options);
  const query = { name: options.name };
  const created = await client.post('/containers/create', query, body).catch(async (error: unknown) => {
    if (!(error instanceof DaemonError && error.status === 404 && error.message.includes('No such image'))) throw error;
    stdio.stderr.write(`Unable to find image '${withTag(image)}' locally\n`);
    await pull(client, { ...stdio, stdout: stdio.stderr }, image, {});
    return client.post('/containers/create', query, body);
  });
  const answer = objectOf(created);
  for (const warning of textsOf(answer['Warnings'])) stdio.stderr.write(`WARNING: ${warning}\n`);
  return textOf(answer['Id']);
}

/** Docker's order: attach, then wait, then start, so that no byte and no exit can be missed. */
async function runAttached(client: ApiClient, stdio: Stdio, id: string, options: RunOptions): Promise<number> {
  const tty = options.tty === true;
  const interactive = options.interactive === true;
  const attach = { stream: true, stdin: interactive, stdout: true, stderr: true };
  const socket = await client.takeOver(`/containers/${id}/attach`, attach);
  const waiting = await client.stream('POST', `/containers/${id}/wait`, {
    condition: options.rm === true ? 'removed' : 'next-exit',
  });
  const conversation = converse(socket, stdio, { tty, interactive });
  // Until the container runs nobody awaits it; its failure is told by the start.
  conversation.catch(() => undefined);
  try {
    await client.post(`/containers/${id}/start`);
  } catch (error) {
    socket.destroy();
    waiting.destroy();
    throw error;
  }
  using _size = tty ? followTerminalSize(client, `/containers/${id}/resize`, stdio) : undefined;
  using _signals = tty ? undefined : proxySignals(client, id);
  if ((await conversation) === 'detached') {
    waiting.destroy();
    return 0;
  }
  return await exitCode(waiting);
}

async function exitCode(waiting: AsyncIterable<unknown>): Promise<number> {
  let text = '';
  for await (const chunk of waiting) text += String(chunk);
  const answer = objectOf(parseJson(text));
  const failure = textOf(objectOf(answer['Error'])['Message']);
  if (failure !== '') throw new ExitError(125, failure);
  return numberOf(answer['StatusCode']);
}

/** `busybox` is `busybox:latest`; a port's colon is no tag's. */
function withTag(image: string): string {
  return /[:@][^/]*$/.test(image) ? image : `${image}:latest`;
}

/** Runs a command in a running container; resolves with its exit code. */
export async function exec(
  client: ApiClient,
  stdio: Stdio,
  container: string,
  command: readonly string[],
  options: ExecOptions,
): Promise<number> {
  const tty = options.tty === true;
  const interactive = options.interactive === true;
  const created = await client.post(
    `/containers/${segment(container)}/exec`,
    {},
    {
      AttachStdin: interactive,
      AttachStdout: true,
      AttachStderr: true,
      Tty: tty,
      Cmd: command,
      Env: options.env,
      ...(options.workdir === undefined ? {} : { WorkingDir: options.workdir }),
      ...(options.user === undefined ? {} : { User: options.user }),
    },
  );
  const id = textOf(objectOf(created)['Id']);
  const socket = await client.takeOver(`/exec/${id}/start`, {}, { Detach: false, Tty: tty });
  using _size = tty ? followTerminalSize(client, `/exec/${id}/resize`, stdio) : undefined;
  const end = await converse(socket, stdio, { tty, interactive });
  if (end === 'detached') return 0;
  return numberOf(objectOf(await client.get(`/exec/${id}/json`))['ExitCode']);
}

export interface ExecOptions {
  readonly interactive?: boolean;
  readonly tty?: boolean;
  readonly env: readonly string[];
  readonly workdir?: string;
  readonly user?: string;
}
