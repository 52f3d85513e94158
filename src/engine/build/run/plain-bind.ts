import type { MountRequest } from '../../containers/spec-types.ts';

/** A writable bind with the ids of its disk as those inside, should the container have a user namespace. */
export function plainBind(source: string, target: string): Extract<MountRequest, { readonly kind: 'bind' }> {
  const access = { readOnly: false, propagation: null, createSource: false, recursive: false };
  return { kind: 'bind', source, target, ...access, idmap: true, mode: '' };
}
