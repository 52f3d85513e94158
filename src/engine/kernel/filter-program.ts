import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { PassThrough, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { errnoCodeOf, messageOf } from '../../base/errors.ts';

/** More than a program says of a broken input. */
const MAX_COMPLAINT_LENGTH = 1000;

/** Why a program of the host gave no (whole) output. */
export interface FilterFault {
  /** There is no such program. */
  readonly isMissing: boolean;
  /** What it said, after its name. */
  readonly text: string;
}

/**
 * The stream after it has gone through a program (`xz -dc`). Ends with `errorOf` what befell the program, and with the
 * source's own error when that breaks; leaving the result ends the program and the source.
 */
export function throughProgram(
  program: string,
  args: readonly string[],
  source: Readable,
  errorOf: (fault: FilterFault) => Error,
): Readable {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  let complaint = '';
  child.stderr.on('data', (text: Buffer) => {
    if (complaint.length < MAX_COMPLAINT_LENGTH) complaint += text.toString('utf8');
  });
  const output = new PassThrough({
    destroy(error, done) {
      child.kill('SIGKILL');
      source.destroy();
      done(error);
    },
  });
  // Whoever reads hears of it, be it later: nobody may be there yet when the program ends.
  output.on('error', () => undefined);
  child.stdout.pipe(output, { end: false });
  // Its output has been read to the end by then.
  const ended = once(child, 'close').then(
    ([code]) => (code === 0 ? null : errorOf({ isMissing: false, text: `${program}: ${complaint.trim()}` })),
    (error: unknown) =>
      errorOf({ isMissing: errnoCodeOf(error) === 'ENOENT', text: `${program}: ${messageOf(error)}` }),
  );
  const fed = pipeline(source, child.stdin).then(
    () => null,
    // A program that ends early says itself why.
    (error: unknown) => (errnoCodeOf(error) === 'EPIPE' ? null : (error as Error)),
  );
  void Promise.all([fed, ended]).then(([sourceFault, fault]) => {
    const reason = sourceFault ?? fault;
    if (reason === null) output.end();
    else output.destroy(reason);
  });
  return output;
}
