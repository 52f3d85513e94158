import { ForbiddenError, InvalidArgumentError } from '../../../base/errors.ts';
import type { StepParts } from '../../containers/steps.ts';
import type { RunMount } from '../../dockerfile/types.ts';
import type { BuildSecretSource } from '../../secrets/types.ts';

/** A mount of a secret. */
export type SecretMount = RunMount & { readonly kind: 'secret' | 'ssh' };

interface Sources {
  /** What the request brings, by id; null: the engine's own secret of this name is meant. */
  readonly given: ReadonlyMap<string, Buffer | null>;
  readonly own: BuildSecretSource;
}

/**
 * What a step gets of a secret: a file in memory, a variable, or both. Those of the request come before the engine's own.
 * Nothing for one that is not there and not required; else InvalidArgumentError in BuildKit's words.
 */
export function secretParts(mount: SecretMount, sources: Sources): StepParts {
  const { id, target, env, mode, uid, gid } = mount;
  const content = contentOf(mount, sources);
  if (content === null) return { env: [], secrets: [] };
  if (env !== null && content.includes(0)) {
    throw new InvalidArgumentError(`secret ${id}: a variable cannot hold a zero byte: mount it as a file`);
  }
  return {
    env: env === null ? [] : [`${env}=${content.toString()}`],
    secrets: target === null ? [] : [{ destination: target, node: { kind: 'file', content, uid, gid, mode } }],
  };
}

/** ForbiddenError for one of the engine's that nobody but the Dockerfile has named. */
function contentOf({ id, required }: SecretMount, { given, own }: Sources): Buffer | null {
  const brought = given.get(id);
  if (brought !== undefined && brought !== null) return brought;
  const isNamed = given.has(id);
  if (!own.has(id)) {
    if (required || isNamed) throw new InvalidArgumentError(`secret ${id}: not found`);
    return null;
  }
  if (isNamed || own.isForBuilds(id)) return own.open(id);
  if (!required) return null;
  throw new ForbiddenError(
    `secret ${id}: not allowed: name it in the request, or give it the label org.moored.build-secret=on`,
  );
}
