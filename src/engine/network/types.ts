import type { ContainerId, EndpointId, NetworkId } from '../../base/ids.ts';
import type { Timestamp } from '../../base/clock.ts';
import type { IdMapping } from '../oci/id-mapping.ts';

/** Transport protocols that can be published. */
export type PortProtocol = 'tcp' | 'udp' | 'sctp';

/** `80/tcp`. */
export interface ContainerPort {
  readonly port: number;
  readonly protocol: PortProtocol;
}

/** A wish: host address and port (0 or a range: the engine chooses). */
export interface PortBinding {
  readonly container: ContainerPort;
  /** Empty: all addresses. */
  readonly hostIp: string;
  /** First and last acceptable host port; 0 and 0 mean any. */
  readonly hostPortStart: number;
  readonly hostPortEnd: number;
}

/** A port as it is published now. */
export interface PublishedPort {
  readonly container: ContainerPort;
  readonly hostIp: string;
  /** 0: none; the container's own port is opened (gateway mode `routed`). */
  readonly hostPort: number;
  readonly endpointIpAddress: string;
  /** True: the engine's proxy leads it, and the packet filter must not. */
  readonly proxied?: boolean;
}

/** One address pool of a network. */
export interface IpamPool {
  readonly subnet: string;
  readonly gateway: string | null;
  readonly ipRange: string | null;
  readonly auxAddresses: Readonly<Record<string, string>>;
  /** Present and true: the user asked for no subnet, and the engine has chosen this one. */
  readonly subnetChosen?: boolean;
  /** Present and true: the user named a subnet and no gateway; inspect shows none then, as Docker's. */
  readonly gatewayChosen?: boolean;
}

/** A network as users made it. */
export interface NetworkRecord {
  readonly id: NetworkId;
  readonly name: string;
  readonly driver: string;
  readonly createdAt: Timestamp;
  /** Absent: true. Networks of IPv6 alone came with Docker 28. */
  readonly enableIpv4?: boolean;
  readonly enableIpv6: boolean;
  readonly internal: boolean;
  readonly attachable: boolean;
  /** Options as given; echoed exactly. */
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly ipamDriver: string;
  readonly ipamOptions: Readonly<Record<string, string>> | null;
  readonly pools: readonly IpamPool[];
  /** As they were given, of a family that the network does not have: shown as Docker's, and nothing else. Absent: none. */
  readonly unusedPools?: readonly IpamPoolRequest[];
  /** Present: it is nothing but a configuration that other networks are made from; its pools as they were given. */
  readonly configuration?: readonly IpamPoolRequest[];
  /** Name of the configuration that it was made from; absent: none. */
  readonly configFrom?: string;
}

/** One container's place on one network while it runs. */
export interface EndpointState {
  readonly endpointId: EndpointId;
  readonly networkId: NetworkId;
  readonly networkName: string;
  readonly containerId: ContainerId;
  readonly interfaceName: string;
  readonly ipv4Address: string | null;
  readonly ipv4PrefixLength: number;
  readonly ipv4Gateway: string | null;
  readonly ipv6Address: string | null;
  readonly ipv6PrefixLength: number;
  readonly ipv6Gateway: string | null;
  readonly macAddress: string;
  readonly publishedPorts: readonly PublishedPort[];
  /**
   * What others on this network find it by, in Docker's order: the container's name, its aliases, its short id, its host
   * name. Empty on predefined networks, which have no name service.
   */
  readonly dnsNames?: readonly string[];
  /** Names that this container alone knows others by (`--link` on a user's network): alias → container name or id. */
  readonly links?: Readonly<Record<string, string>>;
  /** Whose ports it may reach though the network keeps its containers apart (`--link` on the default bridge). */
  readonly opened?: readonly OpenedContainer[];
  /** Where the default route goes through this endpoint: of which families. */
  readonly gatewayOf?: readonly ('ipv4' | 'ipv6')[];
  /** Of which families it leads out at all: by its gateway, or straight out of its link. Absent: by its gateways. */
  readonly leadsOut?: readonly ('ipv4' | 'ipv6')[];
  /** The highest of a container's endpoints has the default route; absent: 0. */
  readonly gatewayPriority?: number;
  /** For error texts. */
  readonly containerName?: string;
  /** Names on this network that the user gave; part of `dnsNames`. */
  readonly aliases?: readonly string[];
  /** As the user wished; kept so that the endpoint can be made again. */
  readonly driverOptions?: Readonly<Record<string, string>>;
  readonly linkLocalIps?: readonly string[];
}

/** A container and the ports of it that another one may reach. */
export interface OpenedContainer {
  readonly containerId: ContainerId;
  readonly ports: readonly ContainerPort[];
}

/** What a user asked for one network, at create or by `network connect`. Documents of older versions lack the optional ones. */
export interface EndpointWish {
  readonly aliases: readonly string[];
  readonly ipv4Address: string | null;
  readonly ipv6Address: string | null;
  readonly macAddress: string | null;
  /** `container:alias`, as given. */
  readonly links?: readonly string[];
  readonly linkLocalIps?: readonly string[];
  readonly driverOptions?: Readonly<Record<string, string>>;
  /** The highest has the default route; 0 when not said. */
  readonly gatewayPriority?: number;
}

/** What a user asked of a new network. */
export interface NetworkRequest {
  readonly name: string;
  /** Empty: `bridge`. */
  readonly driver: string;
  readonly enableIpv4: boolean;
  /** Null: as the daemon's default for the driver says. */
  readonly enableIpv6: boolean | null;
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** Empty: `default`. */
  readonly ipamDriver: string;
  readonly ipamOptions: Readonly<Record<string, string>> | null;
  /** As given; an empty subnet is chosen. */
  readonly pools: readonly IpamPoolRequest[];
  /** Present and true: to be nothing but a configuration for other networks. */
  readonly configOnly?: boolean;
  /** Name of the configuration that it is to be made from. */
  readonly configFrom?: string;
  /** Present and true: a scope was named, which a configuration cannot have. */
  readonly scoped?: boolean;
}

/** One `IPAM.Config` entry as given; texts not said are empty. */
export interface IpamPoolRequest {
  readonly subnet: string;
  readonly gateway: string;
  readonly ipRange: string;
  readonly auxAddresses: Readonly<Record<string, string>>;
}

/** What a container wants of name resolution. Its own wishes come before the daemon's. */
export interface ResolverWish {
  /** External name servers; empty: the host's. */
  readonly servers: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

/** How a container is connected. */
export type NetworkMode =
  | { readonly kind: 'network'; readonly name: string }
  | { readonly kind: 'host' }
  | { readonly kind: 'none' }
  | { readonly kind: 'container'; readonly ref: string };

/** What the containers room needs of a set-up network. */
export interface SandboxState {
  /** Null for host mode and when another container's namespace is shared. */
  readonly netnsPath: string | null;
  readonly endpoints: readonly EndpointState[];
  /** What its own name service at 127.0.0.11 needs to go on after the daemon's restart; absent: it has none. */
  readonly resolver?: ResolverState;
  /** What is to be published wherever the default route goes; absent: nothing. */
  readonly publishing?: PublishWish;
  /** Its host name, which others on a user's network find it by. */
  readonly hostname?: string;
}

/** The ports that a container wants published, on whichever of its endpoints leads out. */
export interface PublishWish {
  readonly portBindings: readonly PortBinding[];
  readonly publishAll: readonly ContainerPort[];
}

/** A sandbox's name service, as it is remembered. */
export interface ResolverState {
  readonly wish: ResolverWish;
}

/** A user namespace that does not exist yet, or the file of one that does. */
export type SandboxOwner = { readonly path: string; readonly mapping: IdMapping } | { readonly joined: string };

/** What to set up for one container's start. */
export interface SandboxRequest {
  readonly containerId: ContainerId;
  /** For error texts, which name endpoints after their container. */
  readonly containerName?: string;
  readonly mode: NetworkMode;
  readonly endpoints: Readonly<Record<string, EndpointWish>>;
  /** Present and true: on the networks of `endpoints` and no other, not even on that of `mode` (which was disconnected). */
  readonly exactly?: boolean;
  readonly portBindings: readonly PortBinding[];
  /** Publish all of these on random host ports as well (`-P`). */
  readonly publishAll: readonly ContainerPort[];
  readonly macAddress: string | null;
  /** Whom it is linked to on the network of `mode`. */
  readonly opened?: readonly OpenedContainer[];
  /**
   * The user namespace that the sandbox belongs to; absent: the host's. One with a `path` is made along and kept in that
   * file, which the caller removes when nobody needs to join it any more.
   */
  readonly userns?: SandboxOwner;
  /** The container's host name, by which others on a user's network find it too. */
  readonly hostname?: string;
  readonly resolver?: ResolverWish;
  /** The container's labels: bandwidth limits stand there. */
  readonly labels?: Readonly<Record<string, string>>;
  /** sysctls for inside, `net.*` only. */
  readonly sysctls: Readonly<Record<string, string>>;
}

/** `docker network connect` of a running container. */
export interface ConnectRequest {
  readonly containerId: ContainerId;
  readonly containerName: string;
  readonly hostname: string;
  /** Id, unique prefix or name of the network. */
  readonly network: string;
  readonly wish: EndpointWish;
  /** Ports that the container wants published: they are, when it had no endpoint to publish them on yet. */
  readonly portBindings: readonly PortBinding[];
  readonly publishAll: readonly ContainerPort[];
  readonly resolver: ResolverWish;
  readonly labels: Readonly<Record<string, string>>;
}

/** `docker network disconnect` of a running container. */
export interface DisconnectRequest {
  readonly containerId: ContainerId;
  readonly network: string;
  readonly force: boolean;
}

/** Networks as the facade sees them, with their live endpoints. */
export interface NetworkView extends NetworkRecord {
  readonly endpoints: readonly EndpointState[];
}

/** The network room's door for the containers room and the facade. */
export interface Networks {
  /** Makes the predefined networks and re-asserts rules; `live` are the sandboxes of containers that still run. */
  restore(live: readonly { readonly containerId: ContainerId; readonly sandbox: SandboxState }[]): Promise<void>;
  list(): readonly NetworkView[];
  /** By id, unique id prefix or name. NotFoundError `network x not found`; InvalidArgumentError when ambiguous. */
  get(ref: string): NetworkView;
  /**
   * Makes a network: record, pools, and what of it stands in the kernel; undone completely on failure. ConflictError
   * `network with name x already exists`, InvalidArgumentError, ForbiddenError for overlapping pools, in Docker's words.
   * Publishes `network create`.
   */
  create(request: NetworkRequest): Promise<{ readonly network: NetworkView; readonly warnings: readonly string[] }>;
  /**
   * Takes it away with all it has in the kernel. ForbiddenError for a pre-defined one and for one with live endpoints
   * (`error while removing network: network x has active endpoints (…)`). Publishes `network destroy`.
   */
  remove(ref: string): Promise<void>;
  /**
   * Plugs a running container into one more network, or changes nothing at all; returns the sandbox as it is now, which the
   * caller stores. ForbiddenError where it is already connected. Publishes `network connect`.
   */
  connect(request: ConnectRequest): Promise<SandboxState>;
  /**
   * Unplugs a running container from one network; ports published there go to the endpoint that leads out then, if any.
   * InternalError, as Docker's, when it is not connected. `force` goes on past failures. Publishes `network disconnect`.
   */
  disconnect(request: DisconnectRequest): Promise<SandboxState>;
  /** The container has another name: its neighbours find it by that. Returns the sandbox as it is now. */
  renamed(containerId: ContainerId, name: string): SandboxState | null;
  /**
   * Checks addresses, ports and sysctls before a container is created: InvalidArgumentError, NotImplementedError. Whether a
   * network exists is only asked by `prepare`: clients take a 404 of create for a missing image and start a pull.
   */
  validate(request: Omit<SandboxRequest, 'containerId'>): void;
  /**
   * Makes a container's namespace and leases its addresses: enough for a runtime to make the process in, which takes longer
   * than all the rest. Returns the sandbox as it is to be, but for its published ports. Undone completely on failure.
   * NotFoundError for a network that does not exist, InternalError in Docker's words when no address is free.
   */
  prepare(request: SandboxRequest): Promise<SandboxState>;
  /**
   * Makes what a container needs besides before its process runs: links, rules, names. Undone completely on failure, with
   * all that was prepared. InternalError in Docker's words for ports. Publishes `network connect`.
   */
  complete(containerId: ContainerId): Promise<SandboxState>;
  /**
   * Takes a sandbox away, also one that was only prepared; idempotent; never waits for the kernel's slow veth removal. Everything is tried; the first
   * failure is thrown at the end. Publishes `network disconnect`.
   */
  tearDown(containerId: ContainerId, sandbox: SandboxState): Promise<void>;
  /**
   * Puts bridges, sysctls and packet filter back as they ought to be, whatever another program made of them
   * (`nft flush ruleset`, a firewall's reload); published ports of running containers have no gap. Idempotent.
   */
  reassert(): Promise<void>;
  /**
   * The engine ends, its networks stay: threads and watches of this room end; what the packet filter leads to containers that
   * go on keeps going there.
   */
  close(): Promise<void>;
  /** Takes bridge, rules and namespaces of this engine away (quickstart --clean, tests). */
  shutDown(): Promise<void>;
}
