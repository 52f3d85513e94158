/** Legacy links as names: what a holder calls another container is one more name of that one, for every client. */
import type { ContainerId } from '../../../base/ids.ts';
import type { ContainerDocument } from '../record.ts';
import type { ContainerLink } from '../spec-types.ts';

/** The default bridge; on users' networks a link is a name that only its holder's name service knows. */
const DEFAULT_BRIDGE = 'bridge';

/** What has links, as far as their names go. */
export interface LinkHolder {
  readonly name: string;
  readonly document: ContainerDocument;
}

/** The legacy links of a container: alias and id of the target. None of a document from before there were links. */
export function legacyLinksOf({ spec: { host } }: ContainerDocument): readonly ContainerLink[] {
  return host.network.kind === 'network' && host.network.name === DEFAULT_BRIDGE ? (host.links ?? []) : [];
}

/** `/holder/alias` of each container that another is linked to, sorted. */
export function linkNames(holders: readonly LinkHolder[]): ReadonlyMap<ContainerId, readonly string[]> {
  const names = new Map<ContainerId, string[]>();
  for (const { name, document } of holders) {
    for (const { ref, alias } of legacyLinksOf(document)) {
      const known = names.get(ref as ContainerId) ?? [];
      names.set(ref as ContainerId, [...known, `/${name}/${alias}`].sort());
    }
  }
  return names;
}
