/**
 * Pulls of names without a registry where the installation looks for them at several: each of its registries in order,
 * then docker.io. What is found bears the name of the registry that had it.
 */
import { EngineError, ForbiddenError, messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import { canonicalName, parseReference, type NamedReference } from '../oci/reference.ts';
import type { RegistryAuth } from '../registry/client.ts';
import type { Progress, ProgressSink } from './types.ts';

/** dockerd's first line of a pull: from here on a registry has the image. */
const BEGUN = 'Pulling from ';

/** What is told, and where. */
interface Telling {
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

/**
 * Pulls the first of `candidates` that its registry has. Once a registry has begun to deliver, its failure counts. When
 * none has it, the error tells what each said.
 */
export async function pullFirst<T>(
  candidates: readonly NamedReference[],
  { progress, signal, logger }: Telling,
  pull: (reference: NamedReference, progress: ProgressSink) => Promise<T>,
): Promise<T> {
  const [only] = candidates;
  if (only !== undefined && candidates.length === 1) return await pull(only, progress);
  const failures: { readonly name: string; readonly error: unknown }[] = [];
  for (const reference of candidates) {
    const name = canonicalName(reference);
    const stage = { hasBegun: false };
    const watch = (record: Progress): void => {
      stage.hasBegun ||= record.status?.startsWith(BEGUN) ?? false;
      progress(record);
    };
    progress({ status: `Trying to pull repository ${name} ... ` });
    try {
      return await pull(reference, watch);
    } catch (error) {
      signal.throwIfAborted();
      if (stage.hasBegun) throw error;
      logger.info('not found on the search list', { name, error: messageOf(error) });
      failures.push({ name, error });
    }
  }
  throw together(failures);
}

/** Asks for each of `candidates` until one is there. The error of an only one is as it was. */
export async function askFirst<T>(
  candidates: readonly NamedReference[],
  signal: AbortSignal | undefined,
  ask: (reference: NamedReference) => Promise<T>,
): Promise<T> {
  const failures: { readonly name: string; readonly error: unknown }[] = [];
  for (const reference of candidates) {
    try {
      return await ask(reference);
    } catch (error) {
      signal?.throwIfAborted();
      if (candidates.length === 1) throw error;
      failures.push({ name: canonicalName(reference), error });
    }
  }
  throw together(failures);
}

/**
 * What a client shows is for the registry that its own words name: for a short name Docker Hub's password. Another that
 * the search list leads to must not see it; the machine's credentials count there.
 */
export function authAt({ domain }: NamedReference, text: string, auth: RegistryAuth | null): RegistryAuth | null {
  return parseReference(text).domain === domain ? auth : null;
}

/** The kind of the first that is not a mere block: what a user can do something about. */
function together(failures: readonly { readonly name: string; readonly error: unknown }[]): EngineError {
  const told = failures.find(({ error }) => !(error instanceof ForbiddenError)) ?? failures[0];
  const kind = told?.error instanceof EngineError ? told.error.kind : 'internal';
  const texts = failures.map(({ name, error }) => `${name}: ${messageOf(error)}`);
  return new EngineError(kind, `not found at any registry of the search list: ${texts.join('; ')}`);
}
