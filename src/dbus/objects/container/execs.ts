import { InvalidArgumentError, NotFoundError } from '../../../base/errors.ts';
import type { ExecSpec, OutputSink } from '../../../engine/index.ts';
import { decodeDictionary, type Dictionary, type Given } from '../../bus/dictionary.ts';
import type { Call, MethodHandler } from '../../bus/exported.ts';
import { execPath } from '../../names.ts';
import { serveAttachment } from './attach.ts';
import { Capture } from './capture.ts';
import type { Subject } from './parts.ts';

const CAPTURE_KEYS = { User: 's', WorkingDir: 's', Environment: 'as', Privileged: 'b' } as const;
const EXEC_KEYS = { ...CAPTURE_KEYS, Tty: 'b', DetachKeys: 's' } as const;

/** What `OpenShell` looks for when it is not told: the most comfortable first. */
const SHELLS = ['/bin/bash', '/usr/bin/bash', '/bin/zsh', '/usr/bin/zsh', '/bin/ash', '/bin/sh', '/usr/bin/sh'];

/** Further processes in a running container. */
export function execMethods(subject: Subject): Readonly<Record<string, MethodHandler>> {
  return {
    Exec: async (_call, command: readonly string[], options: Dictionary) => {
      const given = decodeDictionary(EXEC_KEYS, options);
      return [await createExec(subject, { ...specOf(command, given), terminal: given.Tty ?? false })];
    },
    OpenShell: async (_call, user: string, path: string, args: readonly string[], environment: readonly string[]) =>
      openShell(subject, { user, path, args, environment }),
    ExecCapture: async (call, command: readonly string[], options: Dictionary) =>
      capture(subject, call, specOf(command, decodeDictionary(CAPTURE_KEYS, options))),
  };
}

/** The object's path; it is in the tree when this returns. */
async function createExec({ parts, id }: Subject, spec: ExecSpec): Promise<string> {
  return execPath(id, await parts.engine.containers.createExec(id, spec));
}

interface Shell {
  readonly user: string;
  readonly path: string;
  readonly args: readonly string[];
  readonly environment: readonly string[];
}

async function openShell(subject: Subject, shell: Shell): Promise<readonly unknown[]> {
  const { parts, id } = subject;
  const { containers } = parts.engine;
  const path = shell.path === '' ? containers.findProgram(id, SHELLS) : shell.path;
  if (path === null) throw new NotFoundError(`no shell in container ${id}: tried ${SHELLS.join(', ')}`);
  const command = [path, ...shell.args];
  // No detach keys: Ctrl-P is the shell's own.
  const given = { User: shell.user, Environment: shell.environment, DetachKeys: '' };
  const execId = await containers.createExec(id, { ...specOf(command, given), terminal: true });
  const attachment = await containers.startExec(execId, { terminal: true, consoleSize: null });
  // As when a terminal is closed: nobody could ever type into this one again.
  const onGone = (): void => void containers.signalExec(execId, 'HUP').catch(() => undefined);
  return [serveAttachment(parts.streams, attachment, { stdin: true, onGone }), execPath(id, execId)];
}

/**
 * Runs a command to its end. Of more output than fits the first part is given, and a line at the end of stderr says so. A
 * caller that leaves takes its command along: nobody would ever read what it says.
 */
async function capture(subject: Subject, call: Call, spec: ExecSpec): Promise<readonly unknown[]> {
  const { containers } = subject.parts.engine;
  const execId = await containers.createExec(subject.id, { ...spec, attachStdin: false });
  const attachment = await containers.startExec(execId, { terminal: false, consoleSize: null });
  const [stdout, stderr] = [new Capture('stdout'), new Capture('stderr')];
  const output: OutputSink = { write: (name, chunk) => (name === 'stdout' ? stdout : stderr).add(chunk) };
  await attachment.run({ stdin: null, output, signal: call.signal });
  if (call.signal.aborted) {
    await containers.signalExec(execId, 'KILL').catch(() => undefined);
    throw call.signal.reason;
  }
  const { exitCode, pid } = containers.getExec(execId);
  // Why a process could not be started is told on its stdout, as an attached client of REST must see it.
  const [out, err] = pid === 0 ? [stderr, stdout] : [stdout, stderr];
  return [exitCode ?? 0, out.bytes, Buffer.concat([err.bytes, Buffer.from(`${out.note}${err.note}`)])];
}

function specOf(command: readonly string[], given: Given<typeof EXEC_KEYS>): ExecSpec {
  if (command.length === 0) throw new InvalidArgumentError('No exec command specified');
  return {
    command,
    terminal: false,
    attachStdin: true,
    attachStdout: true,
    attachStderr: true,
    env: given.Environment ?? [],
    user: given.User ?? '',
    workingDirectory: given.WorkingDir ?? '',
    privileged: given.Privileged ?? false,
    detachKeys: given.DetachKeys ?? null,
    consoleSize: null,
  };
}
