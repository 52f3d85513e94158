import type { ContainerId, EndpointId, NetworkId } from '../../base/ids.ts';
import type { Timestamp } from '../../base/clock.ts';

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
  readonly hostPort: number;
  readonly endpointIpAddress: string;
}

/** One address pool of a network. */
export interface IpamPool {
  readonly subnet: string;
  readonly gateway: string | null;
  readonly ipRange: string | null;
  readonly auxAddresses: Readonly<Record<string, string>>;
}

/** A network as users made it. */
export interface NetworkRecord {
  readonly id: NetworkId;
  readonly name: string;
  readonly driver: string;
  readonly createdAt: Timestamp;
  readonly enableIpv6: boolean;
  readonly internal: boolean;
  readonly attachable: boolean;
  /** Options as given; echoed exactly. */
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly ipamDriver: string;
  readonly ipamOptions: Readonly<Record<string, string>> | null;
  readonly pools: readonly IpamPool[];
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
}

/** What a user asked for one network at create. */
export interface EndpointWish {
  readonly aliases: readonly string[];
  readonly ipv4Address: string | null;
  readonly ipv6Address: string | null;
  readonly macAddress: string | null;
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
}

/** What to set up for one container's start. */
export interface SandboxRequest {
  readonly containerId: ContainerId;
  /** For error texts, which name endpoints after their container. */
  readonly containerName?: string;
  readonly mode: NetworkMode;
  readonly endpoints: Readonly<Record<string, EndpointWish>>;
  readonly portBindings: readonly PortBinding[];
  /** Publish all of these on random host ports as well (`-P`). */
  readonly publishAll: readonly ContainerPort[];
  readonly macAddress: string | null;
  /** sysctls for inside, `net.*` only. */
  readonly sysctls: Readonly<Record<string, string>>;
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
   * ForbiddenError `x is a pre-defined network and cannot be removed`; NotImplementedError for others, which this version
   * cannot make either.
   */
  remove(ref: string): Promise<void>;
  /**
   * Checks addresses, ports and sysctls before a container is created: InvalidArgumentError, NotImplementedError. Whether a
   * network exists is only asked by `setUp`: clients take a 404 of create for a missing image and start a pull.
   */
  validate(request: Omit<SandboxRequest, 'containerId'>): void;
  /**
   * Everything a container needs before its process exists; undone completely on failure. NotFoundError for a network
   * that does not exist, InternalError in Docker's words for ports and when no address is free. Publishes
   * `network connect`.
   */
  setUp(request: SandboxRequest): Promise<SandboxState>;
  /**
   * Takes a sandbox away; idempotent; never waits for the kernel's slow veth removal. Everything is tried; the first
   * failure is thrown at the end. Publishes `network disconnect`.
   */
  tearDown(containerId: ContainerId, sandbox: SandboxState): Promise<void>;
  /**
   * Puts bridges, sysctls and packet filter back as they ought to be, whatever another program made of them
   * (`nft flush ruleset`, a firewall's reload); published ports of running containers have no gap. Idempotent.
   */
  reassert(): Promise<void>;
  /** Takes bridge, rules and namespaces of this engine away (quickstart --clean, tests). */
  shutDown(): Promise<void>;
}
