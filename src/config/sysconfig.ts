/**
 * /etc/sysconfig/docker: read as systemd reads it, and its traps told; sysconfig-editing.ts edits it so that nothing else
 * in it moves.
 *
 * Four programs read such a file, each by a grammar of its own: systemd (EnvironmentFile=, the one that counts for the
 * daemon), YaST's ini agent, fillup at each package update, and a shell that sources it. What is written here means
 * the same to all four wherever the value allows it.
 *
 * This room knows nothing of the daemon's options: names, types and defaults of variables are in the file's own
 * metadata comments, or handed in by src/config.
 */
import { effectiveVariables, readDocument, type SysconfigVariable } from './sysconfig/document.ts';
import { once } from './once.ts';
import { findProblems, type TrapOptions } from './sysconfig/traps.ts';
import type { SysconfigProblem } from './sysconfig/problems.ts';

export { isVariableName, type SysconfigVariable } from './sysconfig/document.ts';
export type { TrapOptions } from './sysconfig/traps.ts';
export type { SysconfigCode } from './sysconfig/problems.ts';
export { joinWords, splitWords } from './sysconfig/words.ts';

export interface Sysconfig {
  /** What systemd makes of the file, by name: the last assignment of each. */
  readonly variables: ReadonlyMap<string, SysconfigVariable>;
  /** Every assignment, in the file's order. */
  readonly assignments: readonly SysconfigVariable[];
  /** By line. An `error` means that the daemon would not get what is written there. */
  readonly problems: readonly SysconfigProblem[];
}

/** Reads the bytes of a sysconfig file. Never throws: what is wrong is among the problems. */
export function parseSysconfig(content: Uint8Array, options: TrapOptions = {}): Sysconfig {
  const document = readDocument(content);
  const problems = once(() => findProblems(document, options));
  return {
    variables: effectiveVariables(document),
    assignments: document.assignments,
    get problems() {
      return problems();
    },
  };
}
