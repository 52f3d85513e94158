import type { NamedEndpoint, NameView } from '../name-service.ts';
import type { ListChange, ToldView } from './messages.ts';

/**
 * The lists of endpoints that the thread has, by network: one is sent when it is another than before, however many views
 * it is in. Copying all of a view's lists with each change of one costs more than all else about it.
 */
export class SharedLists {
  readonly #lists = new Map<string, { readonly endpoints: readonly NamedEndpoint[]; views: number }>();

  /** Puts a view in place of one that the thread was told; returns what it has to hear before. */
  change(before: NameView | null, after: NameView | null): readonly ListChange[] {
    const changes: ListChange[] = [];
    for (const { networkName, endpoints } of after?.networks ?? []) {
      const known = this.#lists.get(networkName);
      const isKnown = known !== undefined && isSame(known.endpoints, endpoints);
      this.#lists.set(networkName, {
        endpoints: isKnown ? known.endpoints : endpoints,
        views: (known?.views ?? 0) + 1,
      });
      if (!isKnown) changes.push([networkName, endpoints]);
    }
    for (const { networkName } of before?.networks ?? []) {
      const known = this.#lists.get(networkName);
      if (known === undefined) continue;
      known.views -= 1;
      if (known.views > 0) continue;
      this.#lists.delete(networkName);
      changes.push([networkName, null]);
    }
    return changes;
  }
}

/** A view without the lists. */
export function withoutLists(view: NameView): ToldView {
  return { ...view, networks: view.networks.map(({ endpoints: _endpoints, ...network }) => network) };
}

/** A view with the lists that came before it. */
export function withLists(view: ToldView, lists: ReadonlyMap<string, readonly NamedEndpoint[]>): NameView {
  return {
    ...view,
    networks: view.networks.map((network) => ({ ...network, endpoints: lists.get(network.networkName) ?? [] })),
  };
}

function isSame(one: readonly NamedEndpoint[], other: readonly NamedEndpoint[]): boolean {
  if (one === other) return true;
  return one.length === other.length && one.every((endpoint, index) => isSameEndpoint(endpoint, other[index]));
}

function isSameEndpoint(one: NamedEndpoint, other: NamedEndpoint | undefined): boolean {
  return (
    one.ipv4Address === other?.ipv4Address &&
    one.ipv6Address === other.ipv6Address &&
    (one.names === other.names ||
      (one.names.length === other.names.length && one.names.every((name, index) => name === other.names[index])))
  );
}
