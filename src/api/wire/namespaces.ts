/** Docker's words for whose namespaces a container has, both ways. */
import { InvalidArgumentError } from '../../base/errors.ts';
import type { ContainerView, NamespaceMode, NetworkMode } from '../../engine/index.ts';

/** The name that clients call the default network by. */
export const DEFAULT_NETWORK = 'bridge';

/** Docker's names for what always exists; `default` means the default bridge. */
const PREDEFINED: ReadonlySet<string> = new Set(['bridge', 'host', 'none', 'default']);

/** True for a network that nobody has made. */
export function isPredefinedNetwork(name: string): boolean {
  return PREDEFINED.has(name);
}

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

/** The name in `HostConfig.NetworkMode`. */
export function networkModeText(mode: NetworkMode): string {
  switch (mode.kind) {
    case 'network':
      return mode.name;
    case 'container':
      return `container:${mode.ref}`;
    case 'host':
    case 'none':
      return mode.kind;
  }
}

/** The same as its client wrote it: a user's network may have been called by its id. */
export function givenNetworkModeText({ spec, frontDocument }: Pick<ContainerView, 'spec' | 'frontDocument'>): string {
  const { network } = spec.host;
  const given = (frontDocument?.['HostConfig'] as { readonly NetworkMode?: unknown } | undefined)?.NetworkMode;
  const isNamed = network.kind === 'network' && !isPredefinedNetwork(network.name);
  return isNamed && typeof given === 'string' && given !== '' ? given : networkModeText(network);
}
