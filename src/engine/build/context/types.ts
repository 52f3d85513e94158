/**
 * How a context comes here and becomes a directory. Unpacked in a worker, path-safe, `.dockerignore` applied; deleted
 * with the build, or by the next start of the engine.
 */
import type { BuildSink, ContextSource } from '../types.ts';

/** A context that has come. Dispose when the build has ended. */
export interface BuildContext extends AsyncDisposable {
  /** Holds its files and nothing else; nobody writes to it. */
  readonly root: string;
  /** Text of the Dockerfile, and the name by which errors call it. InvalidArgumentError in Docker's words when there is none. */
  dockerfile(path: string): Promise<{ readonly text: string; readonly name: string }>;
}

export interface Contexts {
  /** InvalidArgumentError in Docker's words for what is no context; UnavailableError when the disk is full. */
  open(
    source: ContextSource,
    options: { readonly dockerfile: string; readonly sink: BuildSink; readonly signal: AbortSignal },
  ): Promise<BuildContext>;
  /** At start-up: takes away what a killed engine left. */
  sweep(): Promise<void>;
}
