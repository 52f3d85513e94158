/** Exec on the wire. */
import { InvalidArgumentError } from '../../base/errors.ts';
import type { JsonValue } from '../../base/json.ts';
import type { ExecSpec, ExecView } from '../../engine/index.ts';
import { bool, pointer, slice, struct, text, uint, type ValueOf } from './go-struct.ts';

export const EXEC_CREATE = struct('container.ExecOptions', {
  User: text,
  Privileged: bool,
  Tty: bool,
  ConsoleSize: pointer(slice(uint, '[2]uint')),
  AttachStdin: bool,
  AttachStderr: bool,
  AttachStdout: bool,
  Detach: bool,
  DetachKeys: text,
  Env: slice(text),
  WorkingDir: text,
  Cmd: slice(text),
});

export const EXEC_START = struct('container.ExecStartOptions', {
  Detach: bool,
  Tty: bool,
  ConsoleSize: pointer(slice(uint, '[2]uint')),
});

/** InvalidArgumentError `No exec command specified`. */
export function execSpecOf(request: ValueOf<typeof EXEC_CREATE>): ExecSpec {
  const command = request.Cmd ?? [];
  if (command.length === 0) throw new InvalidArgumentError('No exec command specified');
  return {
    command,
    terminal: request.Tty ?? false,
    attachStdin: request.AttachStdin ?? false,
    attachStdout: request.AttachStdout ?? false,
    attachStderr: request.AttachStderr ?? false,
    env: request.Env ?? [],
    user: request.User ?? '',
    workingDirectory: request.WorkingDir ?? '',
    privileged: request.Privileged ?? false,
    detachKeys: request.DetachKeys === undefined || request.DetachKeys === '' ? null : request.DetachKeys,
    consoleSize: sizeOf(request.ConsoleSize ?? null),
  };
}

/** `[height, width]`; null unless both are there. */
export function sizeOf(given: readonly number[] | null): readonly [number, number] | null {
  const [height = 0, width = 0] = given ?? [];
  return height === 0 || width === 0 ? null : [height, width];
}

/** `GET /exec/{id}/json`. `ExitCode` is null while it runs. */
export function execDocument({ id, containerId, spec, detachSequence, running, exitCode, pid }: ExecView): JsonValue {
  const [entrypoint = '', ...args] = spec.command;
  return {
    ID: id,
    Running: running,
    ExitCode: exitCode,
    ProcessConfig: {
      tty: spec.terminal,
      entrypoint,
      arguments: args,
      privileged: spec.privileged,
      ...(spec.user === '' ? {} : { user: spec.user }),
    },
    OpenStdin: spec.attachStdin,
    OpenStderr: spec.attachStderr,
    OpenStdout: spec.attachStdout,
    CanRemove: false,
    ContainerID: containerId,
    // Go writes bytes as base64.
    DetachKeys: detachSequence.toString('base64'),
    Pid: pid,
  };
}
