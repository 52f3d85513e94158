/** What can be wrong with a sysconfig file. Codes are stable: D-Bus clients and `--validate` show them. */
export type SysconfigCode =
  | 'nul-byte'
  | 'invalid-utf8'
  | 'byte-order-mark'
  | 'crlf'
  | 'export'
  | 'shell-code'
  | 'invalid-name'
  | 'unclosed-quote'
  | 'text-after-quote'
  | 'trailing-comment'
  | 'comment-continuation'
  | 'shell-expansion'
  | 'multi-line'
  | 'read-differently'
  | 'duplicate'
  | 'commented-key'
  | 'unknown-key'
  | 'reload-and-restart'
  | 'unbalanced-quotes'
  | 'wrong-type';

/** `error`: the daemon would not get what is written there; `warning`: it does, yet somebody else reads it otherwise. */
export type Severity = 'error' | 'warning';

export interface SysconfigProblem {
  readonly code: SysconfigCode;
  readonly severity: Severity;
  /** Counted from 1. */
  readonly line: number;
  /** The variable that it is about; empty when it is about the file. */
  readonly key: string;
  /** What is wrong, and its consequence. */
  readonly text: string;
  /** What to do about it. */
  readonly cure: string;
}
