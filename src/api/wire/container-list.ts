/** A row of `GET /containers/json`. */
import { secondsOf, type Timestamp } from '../../base/clock.ts';
import type { JsonValue } from '../../base/json.ts';
import type { ContainerView } from '../../engine/index.ts';
import type { ApiVersion } from '../compat/version.ts';
import { mountPointDocument, networkModeText } from './container-inspect.ts';
import { networksDocument, portListDocument, type NetworkLookup } from './container-network.ts';
import { statusText } from './container-state.ts';

export interface ListFacts {
  readonly version: ApiVersion;
  readonly now: Timestamp;
  readonly findNetwork: NetworkLookup;
  /** The image's reference as given still points to the container's image; otherwise its id is shown. */
  readonly isCurrentReference: (view: ContainerView) => boolean;
  readonly sizes: { readonly writableBytes: number; readonly rootBytes: number } | null;
}

export function listRow(view: ContainerView, facts: ListFacts): JsonValue {
  const { sizes, version } = facts;
  return {
    Id: view.id,
    Names: [`/${view.name}`],
    Image: facts.isCurrentReference(view) ? view.spec.image : view.imageId,
    ImageID: view.imageId,
    Command: commandText(view.path, view.args),
    Created: secondsOf(view.createdAt),
    Ports: portListDocument(view),
    ...(sizes === null ? {} : sizesDocument(sizes)),
    Labels: view.spec.labels,
    State: view.state.status,
    Status: statusText(view.state, facts.now),
    HostConfig: {
      NetworkMode: networkModeText(view.spec.host.network),
      ...annotationsOf(view, version),
    },
    NetworkSettings: { Networks: networksDocument(view, facts.findNetwork, version) },
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
