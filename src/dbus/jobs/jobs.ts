import type { Call, Variant } from '../bus/exported.ts';
import type { PolkitAction } from '../names.ts';

/**
 * Long operations as objects: the call replies with the job's path at once, the work goes on when the client has gone,
 * anybody who may can watch and cancel it, and a finished job stays for a minute.
 */
export interface JobRequest {
  /** pull, load, stop, restart, remove, prune … */
  readonly type: string;
  /** Paths of the objects that it is about. */
  readonly objects: readonly string[];
  /** Who started it. */
  readonly call: Call;
  /** Who else may cancel it: who may do what it does. */
  readonly action: PolkitAction;
  readonly details: Readonly<Record<string, string>>;
  /** False: Cancel is refused. */
  readonly cancelable: boolean;
  /** Called once when it is over, also where it was canceled before its work began: gives back what it was handed. */
  readonly onEnd?: () => void;
}

/** What the work sees of its job. */
export interface JobProgress {
  /** Aborted by Cancel; the job's result is `canceled` when the work throws after that. */
  readonly signal: AbortSignal;
  /** `total` 0: not known. At most four signals a second leave; the last is never lost. */
  report(progress: { readonly phase: string; readonly done: number; readonly total: number }): void;
  item(progress: {
    readonly item: string;
    readonly phase: string;
    readonly done: number;
    readonly total: number;
  }): void;
  /** A line for the starter alone. */
  log(priority: number, line: string): void;
}

export interface Jobs {
  /** Starts the work and returns the job's path. The work's result becomes the job's `Details`. */
  start(request: JobRequest, work: (progress: JobProgress) => Promise<Readonly<Record<string, Variant>>>): string;
}
