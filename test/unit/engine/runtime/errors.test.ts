import { describe, expect, it } from 'vitest';
import { InternalError } from '../../../../src/base/errors.ts';
import {
  createFailure,
  execFailure,
  exitCodeOf,
  lastMessage,
  monitorFailure,
  saysNotRunning,
  saysUnknownContainer,
} from '../../../../src/engine/runtime/errors.ts';

const CREATE =
  'failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: ';
const UNABLE = 'unable to start container process: ';

/** What the programs wrote on a Debian 12 (crun 1.8.1, runc 1.1.5), and what becomes of it. */
const CASES: readonly (readonly [stderr: string, program: string, reason: string, code: number])[] = [
  [
    'executable file `nosuch` not found in $PATH: No such file or directory\n',
    'nosuch',
    'exec: "nosuch": executable file not found in $PATH',
    127,
  ],
  [
    'time="2026-11-21T05:17:38Z" level=error msg="runc create failed: unable to start container process: exec: \\"nosuch\\": executable file not found in $PATH"\n',
    'nosuch',
    'exec: "nosuch": executable file not found in $PATH',
    127,
  ],
  [
    'executable file `/no/such` not found in $PATH: No such file or directory\n',
    '/no/such',
    'exec: "/no/such": stat /no/such: no such file or directory',
    127,
  ],
  ['open executable: Permission denied\n', '/etc/data', 'exec: "/etc/data": permission denied', 126],
  ['open executable: Operation not permitted\n', '/etc', 'exec: "/etc": is a directory', 126],
  ['open executable: Operation not permitted\n', '', 'exec: "": executable file not found in $PATH', 127],
  [
    '2026-11-21T05:29:25.174949Z: chdir `/nowhere`: No such file or directory\n',
    'true',
    'chdir to cwd ("/nowhere") set in config.json failed: no such file or directory',
    127,
  ],
  [
    'setrlimit `RLIMIT_NOFILE`: Operation not permitted\n',
    'true',
    'setrlimit `RLIMIT_NOFILE`: Operation not permitted',
    125,
  ],
  ['first line\nmount `proc` to `proc`: Invalid argument\n\n', 'true', 'mount `proc` to `proc`: Invalid argument', 125],
];

describe('what runtimes say', () => {
  it.each(CASES)('%j of %j', (stderr, program, reason, code) => {
    const failure = createFailure(stderr, program);
    expect(failure.message).toBe(`${CREATE}${UNABLE}${reason}: unknown`);
    expect(failure.exitCode).toBe(code);
    expect(execFailure(stderr, program).message).toBe(
      `OCI runtime exec failed: exec failed: ${UNABLE}${reason}: unknown`,
    );
  });

  it('takes the last line, less its decoration', () => {
    expect(lastMessage('')).toBe('');
    expect(lastMessage('time="x" level=error msg="a \\"b\\" c"\n')).toBe('a "b" c');
    expect(lastMessage('one\ntwo\n')).toBe('two');
  });

  it('tells containers that are unknown from those that have ended', () => {
    expect(saysUnknownContainer('error opening file `/run/crun/x/status`: No such file or directory')).toBe(true);
    expect(saysUnknownContainer("cannot open directory '/run/crun/x': No such file or directory")).toBe(true);
    expect(saysUnknownContainer('time="x" level=error msg="container does not exist"')).toBe(true);
    expect(saysUnknownContainer('kill container: No such process')).toBe(false);
    expect(saysNotRunning('kill container: No such process')).toBe(true);
    expect(saysNotRunning('container not running')).toBe(true);
  });

  it('has an exit code for anything thrown', () => {
    expect(exitCodeOf(monitorFailure(''))).toBe(125);
    expect(monitorFailure('').message).toMatch(/without a word/);
    expect(exitCodeOf(new InternalError('exec: "/x": permission denied'))).toBe(126);
    expect(exitCodeOf(new Error('no such file or directory'))).toBe(125);
  });
});
