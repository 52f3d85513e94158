import { InvalidArgumentError } from '../base/errors.ts';
import type { ConfigProblem } from './origin.ts';

/** The configuration cannot be used. The message is dockerd's; `problems` says the same with file, line and cure. */
export class ConfigError extends InvalidArgumentError {
  readonly problems: readonly ConfigProblem[];

  constructor(message: string, problems: readonly ConfigProblem[], options?: { readonly cause?: unknown }) {
    super(message, options);
    this.problems = problems;
  }
}

/** A problem with what has no better place than the whole. */
export function errorProblem(
  text: string,
  place: {
    readonly file?: string;
    readonly line?: number | null;
    readonly subject?: string;
    readonly cure?: string;
  } = {},
): ConfigProblem {
  return {
    severity: 'error',
    file: place.file ?? null,
    line: place.line ?? null,
    subject: place.subject ?? '',
    text,
    cure: place.cure ?? '',
  };
}
