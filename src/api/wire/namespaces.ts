/** Docker's words for whose namespaces a container has, both ways. */
import { InvalidArgumentError } from '../../base/errors.ts';
import type { NamespaceMode, NetworkMode } from '../../engine/index.ts';

/** The name that clients call the default network by. */
export const DEFAULT_NETWORK = 'bridge';

type Kind = NamespaceMode['kind'];

/** `''`, `private`, `host`, `container:x` …; InvalidArgumentError `invalid <noun> mode: x`. */
export function parseNamespaceMode(text: string, noun: string, allowed: readonly Kind[]): NamespaceMode | null {
  if (text === '') return null;
  const ref = text.startsWith('container:') ? text.slice('container:'.length) : null;
  const kind = ref === null ? text : 'container';
  if (ref === '' || !allowed.includes(kind as Kind)) throw new InvalidArgumentError(`invalid ${noun} mode: ${text}`);
  return ref === null ? ({ kind } as NamespaceMode) : { kind: 'container', ref };
}

/** As it stands in HostConfig. */
export function namespaceModeText(mode: NamespaceMode): string {
  return mode.kind === 'container' ? `container:${mode.ref}` : mode.kind;
}

/** HostConfig's `NetworkMode`: '' and `default` mean the default bridge. */
export function parseNetworkMode(text: string): NetworkMode {
  switch (text) {
    case '':
    case 'default':
      return { kind: 'network', name: DEFAULT_NETWORK };
    case 'host':
    case 'none':
      return { kind: text };
    default: {
      const [first = '', ...rest] = text.split(':');
      if (first !== 'container') return { kind: 'network', name: text };
      const ref = rest.join(':');
      if (ref === '') {
        throw new InvalidArgumentError('invalid network mode: invalid container format container:<name|id>');
      }
      return { kind: 'container', ref };
    }
  }
}

/** Name of the network it is in: the key in `NetworkSettings.Networks`; null when it shares another container's. */
export function networkNameOf(mode: NetworkMode): string | null {
  switch (mode.kind) {
    case 'network':
      return mode.name;
    case 'container':
      return null;
    case 'host':
    case 'none':
      return mode.kind;
  }
}
