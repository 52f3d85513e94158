/** `GET /containers/{id}/json`. What the client gave is echoed as given; the rest is the engine's knowledge. */
import { formatTimestamp } from '../../base/clock.ts';
import { SHORT_ID_LENGTH } from '../../base/ids.ts';
import type { JsonValue } from '../../base/json.ts';
import { type ContainerView, type MountPoint } from '../../engine/index.ts';
import type { ApiVersion } from '../compat/version.ts';
import { CONTAINER_CONFIG, type ContainerConfig } from './container-config.ts';
import type { NetworkLookup } from './container-endpoints.ts';
import { networkSettingsDocument } from './container-network.ts';
import { restartCountOf, stateDocument } from './container-state.ts';
import { decodeAs, encodeAs } from './go-struct.ts';
import { hostConfigDocument, type NameLookup } from './host-config-document.ts';
import { networkNameOf } from './namespaces.ts';
import { portText } from './ports.ts';

export interface InspectFacts {
  readonly version: ApiVersion;
  readonly findNetwork: NetworkLookup;
  readonly nameOf: NameLookup;
  /** Words of `GraphDriver.Data`. */
  readonly storage: Readonly<Record<string, string>>;
  readonly sizes: { readonly writableBytes: number; readonly rootBytes: number } | null;
}

/** What a view's document says of its configuration: it stands as long as the view does. */
interface Configured {
  readonly version: string;
  readonly config: JsonValue;
  /** Null where it names other containers, which may be renamed meanwhile. */
  readonly hostConfig: JsonValue | null;
}

const configured = new WeakMap<ContainerView, Configured>();

export function inspectDocument(view: ContainerView, facts: InspectFacts): JsonValue {
  const { sizes, version } = facts;
  const { config, hostConfig } = configuredOf(view, facts);
  const dataWords = Object.entries(facts.storage);
  return {
    Id: view.id,
    Created: formatTimestamp(view.createdAt),
    Path: view.path,
    Args: view.args,
    State: { ...stateDocument(view) },
    Image: view.imageId,
    ResolvConfPath: view.resolvConfPath,
    HostnamePath: view.hostnamePath,
    HostsPath: view.hostsPath,
    LogPath: view.logPath ?? '',
    Name: `/${view.name}`,
    RestartCount: restartCountOf(view.state),
    Driver: view.storageDriver,
    Platform: 'linux',
    MountLabel: '',
    ProcessLabel: '',
    AppArmorProfile: view.apparmorProfile ?? '',
    ExecIDs: view.execIds.length === 0 ? null : view.execIds,
    HostConfig: hostConfig ?? hostConfigDocument(view, version, facts.nameOf),
    GraphDriver: { Data: dataWords.length === 0 ? null : Object.fromEntries(dataWords), Name: view.storageDriver },
    ...(sizes === null ? {} : { SizeRw: sizes.writableBytes, SizeRootFs: sizes.rootBytes }),
    Mounts: view.mounts.map(mountPointDocument),
    Config: config,
    NetworkSettings: networkSettingsDocument(view, facts.findNetwork, version),
  };
}

/** Clients ask for the same container again and again, and this is most of the work. */
function configuredOf(view: ContainerView, { version, nameOf }: InspectFacts): Configured {
  const known = configured.get(view);
  if (known?.version === version.text) return known;
  const namesOthers = (view.spec.host.links ?? []).length > 0;
  const made = {
    version: version.text,
    config: configDocument(view, version),
    hostConfig: namesOthers ? null : hostConfigDocument(view, version, nameOf),
  };
  configured.set(view, made);
  return made;
}

export function mountPointDocument(mount: MountPoint): JsonValue {
  return {
    Type: mount.kind,
    ...(mount.name === null ? {} : { Name: mount.name }),
    Source: mount.source,
    Destination: mount.destination,
    ...(mount.driver === null ? {} : { Driver: mount.driver }),
    Mode: mount.mode,
    RW: !mount.readOnly,
    Propagation: mount.propagation,
  };
}

function configDocument(view: ContainerView, version: ApiVersion): JsonValue {
  const given: ContainerConfig = decodeAs(CONTAINER_CONFIG, view.frontDocument?.['Config'] ?? {});
  const { spec } = view;
  const merged: ContainerConfig = {
    ...given,
    Hostname:
      spec.hostname === '' && spec.host.network.kind === 'network' ? view.id.slice(0, SHORT_ID_LENGTH) : spec.hostname,
    Domainname: spec.domainname,
    MacAddress: view.networks.get(networkNameOf(spec.host.network) ?? '')?.macAddress ?? given.MacAddress ?? '',
    User: spec.user,
    Tty: spec.terminal,
    OpenStdin: spec.openStdin,
    StdinOnce: spec.stdinOnce,
    Image: spec.image,
    WorkingDir: spec.workingDirectory,
    // Labels are never null in a container, whatever was sent.
    Labels: spec.labels,
    Env: spec.env.length === 0 ? (given.Env ?? null) : spec.env,
    Cmd: spec.command ?? given.Cmd ?? null,
    Entrypoint: spec.entrypoint,
    StopSignal: spec.stopSignal ?? '',
    StopTimeout: spec.stopTimeoutSeconds,
    Healthcheck: spec.healthcheck === null ? null : withoutUndefined(spec.healthcheck),
    ExposedPorts: Object.fromEntries(spec.exposedPorts.map((port) => [portText(port), {}])),
    Volumes: spec.volumes.length === 0 ? null : Object.fromEntries(spec.volumes.map((v) => [v, {}])),
  };
  const document = { ...(encodeAs(CONTAINER_CONFIG, merged) as Record<string, JsonValue>) };
  // From 1.44 the MAC is the endpoint's; older clients find there what was asked of the main one.
  if (version.atLeast('1.44')) delete document['MacAddress'];
  return document;
}

/** exactOptionalPropertyTypes: a copy without keys that are undefined. */
function withoutUndefined<T extends object>(value: T): { [K in keyof T]: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as {
    [K in keyof T]: NonNullable<T[K]>;
  };
}
