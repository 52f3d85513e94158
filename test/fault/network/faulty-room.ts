import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock } from '../../../src/base/clock.ts';
import { newId } from '../../../src/base/ids.ts';
import type { ContainerId } from '../../../src/base/ids.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import { createLinuxKernel } from '../../../src/engine/kernel/linux/index.ts';
import { createNetworks, DEFAULT_ADDRESS_POOLS } from '../../../src/engine/network/index.ts';
import type { NetworksOptions } from '../../../src/engine/network/index.ts';
import { procSysctls } from '../../../src/engine/network/sysctl.ts';
import type {
  ConnectRequest,
  EndpointWish,
  NetworkRequest,
  Networks,
  SandboxRequest,
  SandboxState,
} from '../../../src/engine/network/types.ts';
import { Database } from '../../../src/engine/state/database.ts';
import { failingKernel, failingSysctls, FaultPlan, mortalDatabase } from './failing-kernel.ts';

/** Why these tests cannot run here, or null. */
export const unfit: string | null = process.getuid?.() === 0 ? null : 'links and namespaces need root';

/** More calls than any verb of the room makes: a loop that gets here has lost its way. */
export const CALLS_MAX = 150;

export const NO_WISH: EndpointWish = { aliases: [], ipv4Address: null, ipv6Address: null, macAddress: null };

/** One for all rooms: it keeps sockets and a context of libnftables open. */
const kernel = createLinuxKernel();

/** A room whose kernel calls fail by plan, while all that succeeds happens on the real kernel. */
export class FaultyRoom implements AsyncDisposable {
  plan = new FaultPlan();
  readonly bridgeName: string;
  networks: Networks;
  readonly told: string[] = [];
  readonly #directory = mkdtempSync(join(tmpdir(), 'network-'));
  readonly #database = Database.open(':memory:');
  readonly #table: string;

  constructor(tag: string) {
    this.bridgeName = `nf${tag}${String(process.pid)}`.slice(0, 15);
    this.#table = `moored-${this.bridgeName}`;
    this.networks = this.#open();
  }

  /** The same engine after a kill: what the one before had in memory is gone, and it does no more. */
  restart(): void {
    this.plan.crashAt(1);
    this.plan = new FaultPlan();
    this.networks = this.#open();
  }

  /** All that containers have in kernel and state now. */
  traces() {
    const table = execFileSync('nft', ['-n', 'list', 'table', 'ip', this.#table], { encoding: 'utf8' });
    return {
      namespaces: readdirSync(join(this.#directory, 'netns')).filter((name) => /^[0-9a-f]{12}$/.test(name)),
      mounts: readFileSync('/proc/self/mountinfo', 'utf8')
        .split('\n')
        .filter((line) => line.includes(this.#directory)),
      leases: this.leases(),
      published: [...table.matchAll(/: 10\.19[45]\.\d+\.\d+ \. (\d+)/g)].map(([, port]) => Number(port)),
      listening: this.listening(),
      endpoints: this.networks.list().flatMap(({ endpoints }) => endpoints).length,
      descriptors: readdirSync('/proc/self/fd').length,
    };
  }

  leases(): readonly string[] {
    return this.#database.all('SELECT address FROM lease ORDER BY address').map((row) => row['address'] as string);
  }

  /** Names of networks in the state file. */
  rows(): readonly string[] {
    return this.#database.all('SELECT name FROM network ORDER BY name').map((row) => row['name'] as string);
  }

  /** The names of the bridges that the packet filter speaks of. */
  filtered(): readonly string[] {
    const text = execFileSync('nft', ['-n', 'list', 'table', 'ip', this.#table], { encoding: 'utf8' });
    return [...new Set(text.match(new RegExp(`\\b${BRIDGE_PREFIX}\\w+\\b`, 'g')))].sort();
  }

  /** Bridge ports go with their namespaces, a moment later. */
  bridgePorts(bridgeName = this.bridgeName): readonly string[] {
    return readdirSync(`/sys/class/net/${bridgeName}/brif`);
  }

  /** What `ip` says inside a sandbox: links other than lo, addresses, default routes. */
  inside({ netnsPath }: SandboxState) {
    const ip = (...args: readonly string[]) =>
      execFileSync('nsenter', [`--net=${netnsPath ?? ''}`, 'ip', '-o', ...args], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }).trim();
    return {
      links: [...ip('link').matchAll(/^\d+: (eth\d+)@/gm)].map(([, name]) => name),
      addresses: [...ip('-4', 'addr').matchAll(/(eth\d+) +inet ([0-9.]+)\//g)].map(([, name, address]) => [
        name,
        address,
      ]),
      defaultRoute: /default via (\S+) dev (\S+)/.exec(ip('route'))?.slice(1, 3) ?? null,
    };
  }

  listening(): number {
    const wanted = new Set([FIRST_PORT, FIRST_PORT + 1].map((port) => `0100007F:${port.toString(16).toUpperCase()}`));
    return readFileSync('/proc/net/tcp', 'utf8')
      .split('\n')
      .filter((line) => wanted.has(line.trim().split(/\s+/)[1] ?? '')).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.plan.stop();
    await this.networks.shutDown();
    this.#database[Symbol.dispose]();
    rmSync(this.#directory, { recursive: true });
  }

  #open(): Networks {
    const options: NetworksOptions = {
      defaultBridge: {
        bridgeName: this.bridgeName,
        bip: '10.195.0.1/24',
        fixedCidr: null,
        defaultGateway: null,
        mtu: 1500,
        interContainer: true,
        masquerade: true,
        defaultBindIp: '127.0.0.1',
        addressPools: DEFAULT_ADDRESS_POOLS,
      },
      firewall: { kind: 'nftables', tableName: this.#table },
      ipForward: true,
      netnsDirectory: join(this.#directory, 'netns'),
    };
    return createNetworks(
      {
        kernel: failingKernel(kernel, this.plan),
        sysctls: failingSysctls(procSysctls, this.plan),
        database: mortalDatabase(this.#database, this.plan),
        events: { publish: ({ action }) => void this.told.push(action) },
        clock: new SystemClock(),
        logger: silentLogger,
      },
      options,
    );
  }
}

/** Users' bridges of this test alone. */
const BRIDGE_PREFIX = `nfu${String(process.pid)}`;
/** Test files run side by side. */
const FIRST_PORT = 50_000 + (process.pid % 5000) * 2;

/** A container on the default bridge with two published ports. */
export function request(further: Partial<SandboxRequest> = {}): SandboxRequest {
  const binding = {
    container: { port: 80, protocol: 'tcp' },
    hostIp: '',
    hostPortStart: FIRST_PORT,
    hostPortEnd: FIRST_PORT,
  } as const;
  return {
    containerId: newId<ContainerId>(),
    containerName: 'victim',
    mode: { kind: 'network', name: 'bridge' },
    endpoints: {},
    portBindings: [binding, { ...binding, hostPortStart: FIRST_PORT + 1, hostPortEnd: FIRST_PORT + 1 }],
    publishAll: [],
    macAddress: null,
    sysctls: { 'net.core.somaxconn': '99' },
    ...further,
  };
}

/** A bridge network on 10.194.`third`.0/24. */
export function network(name: string, third: number): NetworkRequest {
  return {
    name,
    driver: '',
    enableIpv4: true,
    enableIpv6: null,
    internal: false,
    attachable: false,
    options: { 'com.docker.network.bridge.name': `${BRIDGE_PREFIX}${name}` },
    labels: {},
    ipamDriver: '',
    ipamOptions: null,
    pools: [{ subnet: `10.194.${String(third)}.0/24`, gateway: '', ipRange: '', auxAddresses: {} }],
  };
}

/** `docker network connect` of a container that publishes what {@link request} does. */
export function connecting(container: SandboxRequest, to: string): ConnectRequest {
  return {
    containerId: container.containerId,
    containerName: 'victim',
    hostname: 'victim',
    network: to,
    wish: NO_WISH,
    portBindings: container.portBindings,
    publishAll: [],
    resolver: { servers: [], search: [], options: [] },
    labels: {},
  };
}

/** The bridges that {@link network} asked for and that are there. */
export function bridges(): readonly string[] {
  return readdirSync('/sys/class/net')
    .filter((name) => name.startsWith(BRIDGE_PREFIX))
    .sort();
}
