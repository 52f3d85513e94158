/**
 * What runtimes say, in Docker's words. Clients decide by these texts: the docker CLI ends with 127 when the message
 * has "executable file not found" or "no such file or directory", with 126 for "permission denied" or "is a
 * directory", else with 125. crun and runc word the same failures differently, so both are brought to runc's wording:
 *
 *   crun  executable file `nosuch` not found in $PATH: No such file or directory
 *   crun  open executable: Permission denied            (Operation not permitted: not a regular file)
 *   runc  time="…" level=error msg="runc create failed: unable to start container process: exec: \"nosuch\": …"
 */
import { EngineError, InternalError, messageOf } from '../../base/errors.ts';

const CREATE_PREFIX = 'failed to create task for container: failed to create shim task: OCI runtime create failed: ';
const START_PREFIX = 'failed to create task for container: ';
const EXEC_PREFIX = 'OCI runtime exec failed: ';

/** How a process that could not be started counts (`docker run`'s and `docker exec`'s exit codes). */
export type StartFailureCode = 125 | 126 | 127;

/**
 * A container or exec process could not be made. `exitCode` is what its inspect shows and the client ends with. A program
 * that is not there or cannot be run is the request's fault (Docker answers 400), all else the host's.
 */
export class StartFailure extends EngineError {
  readonly exitCode: StartFailureCode;

  constructor(message: string, exitCode: StartFailureCode) {
    super(exitCode === 125 ? 'internal' : 'invalid-argument', message);
    this.exitCode = exitCode;
  }
}

/** Why `create` failed, from what the runtime wrote to stderr. `program` is the first word of the process. */
export function createFailure(stderr: string, program: string | null): StartFailure {
  const reason = normalise(stderr, program);
  return new StartFailure(`${CREATE_PREFIX}runc create failed: ${reason}: unknown`, codeFor(reason));
}

/** The configuration asks for what no runtime may do; said before one is started. */
export function configFailure(reason: string): StartFailure {
  return new StartFailure(`${CREATE_PREFIX}runc create failed: ${reason}: unknown`, 125);
}

/** Why `exec` failed. */
export function execFailure(stderr: string, program: string | null): StartFailure {
  const reason = normalise(stderr, program);
  return new StartFailure(`${EXEC_PREFIX}exec failed: ${reason}: unknown`, codeFor(reason));
}

/** Why a process did not come out of its checkpoint: Docker answers 400, whatever the reason. */
export function restoreFailure(reason: string): StartFailure {
  const text = `OCI runtime restore failed: ${reason.replace(/^runc restore failed: /, '')}: unknown`;
  return new StartFailure(text, codeFor(reason) === 125 ? 125 : 127);
}

/** The monitor itself failed, before or beside the runtime. */
export function monitorFailure(detail: string): StartFailure {
  return new StartFailure(`${START_PREFIX}monitor failed: ${detail === '' ? 'it ended without a word' : detail}`, 125);
}

/** Another verb of the runtime failed. */
export function verbFailure(runtime: string, verb: string, stderr: string): InternalError {
  return new InternalError(`OCI runtime ${verb} failed: ${runtime}: ${lastMessage(stderr)}`);
}

/** True for what a runtime says of a container it does not know (or no longer). */
export function saysUnknownContainer(stderr: string): boolean {
  return /container .*does not exist|(?:opening file|open) .*status.*No such file|cannot open directory/i.test(stderr);
}

/** True for what a runtime says of a container whose process has ended. */
export function saysNotRunning(stderr: string): boolean {
  return /process already finished|container not running|No such process|is not running|container .* stopped/i.test(
    stderr,
  );
}

/** The exit code of anything thrown by `create` or `exec`. */
export function exitCodeOf(thrown: unknown): StartFailureCode {
  if (thrown instanceof StartFailure) return thrown.exitCode;
  return thrown instanceof EngineError ? codeFor(messageOf(thrown)) : 125;
}

function codeFor(message: string): StartFailureCode {
  if (/executable file not found|no such file or directory/.test(message)) return 127;
  return /permission denied|is a directory|exec format error/.test(message) ? 126 : 125;
}

/** The runtime's last message, without its decoration. */
export function lastMessage(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '');
  const line = lines.at(-1)?.trim() ?? '';
  const quoted = /\blevel=\w+ msg=("(?:[^"\\]|\\.)*")/.exec(line)?.[1];
  const plain = quoted === undefined ? line : unquote(quoted);
  // crun before 1.9 puts a time stamp in front: 2026-11-21T05:05:29.123456Z: message
  return plain.replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z?: /, '');
}

function normalise(stderr: string, program: string | null): string {
  const message = lastMessage(stderr).replace(/^runc (create|exec) failed: |^exec failed: /, '');
  if (message.startsWith('unable to start container process')) return message;
  return fromCrun(message, program ?? '') ?? `unable to start container process: ${message}`;
}

/** crun's wording → runc's, for the failures whose class clients tell by the text. */
function fromCrun(message: string, program: string): string | null {
  const exec = (reason: string): string =>
    `unable to start container process: exec: ${JSON.stringify(program)}: ${reason}`;
  if (/executable file .* not found/.test(message)) {
    // A name with a slash is no matter of $PATH.
    return exec(
      program.includes('/') ? `stat ${program}: no such file or directory` : 'executable file not found in $PATH',
    );
  }
  const [, cwd, why] = /^chdir(?: to)? [`'"]([^`'"]*)[`'"]: (.*)$/.exec(message) ?? [];
  if (cwd !== undefined && why !== undefined) {
    return `unable to start container process: chdir to cwd ("${cwd}") set in config.json failed: ${why.toLowerCase()}`;
  }
  const open = /^open executable: (.*)$/.exec(message)?.[1];
  if (open === undefined) return null;
  if (program === '') return exec('executable file not found in $PATH');
  // crun refuses everything that is no regular file with EPERM; in practice that is a directory.
  return exec(open === 'Operation not permitted' ? 'is a directory' : open.toLowerCase());
}

function unquote(text: string): string {
  try {
    return JSON.parse(text) as string;
  } catch {
    return text.slice(1, -1);
  }
}
