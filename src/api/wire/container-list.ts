/** A row of `GET /containers/json`. */
import { secondsOf, type Timestamp } from '../../base/clock.ts';
import type { JsonValue } from '../../base/json.ts';
import type { ContainerView } from '../../engine/index.ts';
import type { ApiVersion } from '../compat/version.ts';
import { mountPointDocument } from './container-inspect.ts';
import { networksDocument, type NetworkLookup } from './container-endpoints.ts';
import { portListDocument } from './container-network.ts';
import { statusText } from './container-state.ts';
import { givenNetworkModeText } from './namespaces.ts';

export interface ListFacts {
  readonly version: ApiVersion;
  readonly now: Timestamp;
  readonly findNetwork: NetworkLookup;
  /** The image's reference as given still points to the container's image; otherwise its id is shown. */
  readonly isCurrentReference: (view: ContainerView) => boolean;
  /** `/holder/alias` of those that others are linked to, by id. */
  readonly linkNames: ReadonlyMap<string, readonly string[]>;
  readonly sizes: { readonly writableBytes: number; readonly rootBytes: number } | null;
}

/** A row as it was last sent, with all it was made of besides its view. */
interface SentRow {
  readonly version: string;
  readonly status: string;
  readonly isCurrent: boolean;
  readonly linkNames: readonly string[] | undefined;
  /** Ids of the networks that were looked up. */
  readonly networkIds: ReadonlyMap<string, string | null>;
  readonly text: string;
}

const sentRows = new WeakMap<ContainerView, SentRow>();

/** {@link listRow} as JSON. Without sizes it is made anew only when it says something else: lists are asked for all the time. */
export function listRowText(view: ContainerView, facts: ListFacts): string {
  if (facts.sizes !== null) return JSON.stringify(listRow(view, facts));
  const known = sentRows.get(view);
  if (known !== undefined && stillHolds(known, view, facts)) return known.text;
  const networkIds = new Map<string, string | null>();
  const findNetwork: NetworkLookup = (name) => {
    const network = facts.findNetwork(name);
    networkIds.set(name, network?.id ?? null);
    return network;
  };
  const text = JSON.stringify(listRow(view, { ...facts, findNetwork }));
  sentRows.set(view, {
    version: facts.version.text,
    status: statusText(view, facts.now),
    isCurrent: facts.isCurrentReference(view),
    linkNames: facts.linkNames.get(view.id),
    networkIds,
    text,
  });
  return text;
}

function stillHolds(row: SentRow, view: ContainerView, facts: ListFacts): boolean {
  return (
    row.version === facts.version.text &&
    row.status === statusText(view, facts.now) &&
    row.isCurrent === facts.isCurrentReference(view) &&
    sameNames(row.linkNames, facts.linkNames.get(view.id)) &&
    [...row.networkIds].every(([name, id]) => (facts.findNetwork(name)?.id ?? null) === id)
  );
}

function sameNames(one: readonly string[] | undefined, other: readonly string[] | undefined): boolean {
  return one === other || one?.join() === other?.join();
}

export function listRow(view: ContainerView, facts: ListFacts): JsonValue {
  const { sizes, version } = facts;
  return {
    Id: view.id,
    Names: [`/${view.name}`, ...(facts.linkNames.get(view.id) ?? [])].sort(),
    Image: facts.isCurrentReference(view) ? view.spec.image : view.imageId,
    ImageID: view.imageId,
    Command: commandText(view.path, view.args),
    Created: secondsOf(view.createdAt),
    Ports: portListDocument(view),
    ...(sizes === null ? {} : sizesDocument(sizes)),
    Labels: view.spec.labels,
    State: view.state.status,
    Status: statusText(view, facts.now),
    HostConfig: {
      NetworkMode: givenNetworkModeText(view),
      ...annotationsOf(view, version),
    },
    NetworkSettings: { Networks: networksDocument(view, { find: facts.findNetwork, version, detailed: false }) },
    Mounts: view.mounts.map(mountPointDocument),
  };
}

/** Go's `omitempty`: zero sizes are left out. */
function sizesDocument({
  writableBytes,
  rootBytes,
}: {
  readonly writableBytes: number;
  readonly rootBytes: number;
}): Record<string, JsonValue> {
  return {
    ...(writableBytes === 0 ? {} : { SizeRw: writableBytes }),
    ...(rootBytes === 0 ? {} : { SizeRootFs: rootBytes }),
  };
}

function annotationsOf(view: ContainerView, version: ApiVersion): Record<string, JsonValue> {
  const { annotations } = view.spec.host;
  return version.before('1.46') || Object.keys(annotations).length === 0 ? {} : { Annotations: annotations };
}

/** Docker's own quoting: an argument with spaces stands in single quotes. */
function commandText(path: string, args: readonly string[]): string {
  if (args.length === 0) return path;
  return `${path} ${args.map((arg) => (arg.includes(' ') ? `'${arg}'` : arg)).join(' ')}`;
}
