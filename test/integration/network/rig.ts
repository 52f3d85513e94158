import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SystemClock } from '../../../src/base/clock.ts';
import { newId, shortId } from '../../../src/base/ids.ts';
import type { ContainerId } from '../../../src/base/ids.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import { createLinuxKernel } from '../../../src/engine/kernel/linux/index.ts';
import type { Kernel } from '../../../src/engine/kernel/kernel.ts';
import { createNetworks, DEFAULT_ADDRESS_POOLS } from '../../../src/engine/network/index.ts';
import type { DefaultBridgeWish, NetworksOptions } from '../../../src/engine/network/index.ts';
import type { Networks, PortBinding, SandboxRequest, SandboxState } from '../../../src/engine/network/types.ts';
import type { EngineEvent } from '../../../src/engine/events/types.ts';
import { Database } from '../../../src/engine/state/database.ts';
import { setUp } from '../../support/sandboxes.ts';

const run = promisify(execFile);

/** Settings of the whole host that the room may switch on. */
const HOST_SETTINGS = [
  '/proc/sys/net/ipv4/ip_forward',
  '/proc/sys/net/ipv6/conf/all/forwarding',
  '/proc/sys/net/bridge/bridge-nf-call-iptables',
];

/** Why these tests cannot run here, or null. */
export const unfit: string | null = process.getuid?.() === 0 ? null : 'needs root for namespaces, links and nftables';

/** The kernel of the whole test process. */
export const kernel: Kernel = createLinuxKernel();

/** Options with names and addresses that nothing else on this machine uses. */
export function rigOptions(directory: string, bridge: Partial<DefaultBridgeWish> = {}): NetworksOptions {
  const tag = randomBytes(3);
  const bridgeName = bridge.bridgeName ?? `nt${tag.toString('hex')}`;
  return {
    defaultBridge: {
      bridgeName,
      bip: `10.${String(200 + ((tag[0] ?? 0) % 50))}.${String(tag[1] ?? 0)}.1/24`,
      fixedCidr: null,
      defaultGateway: null,
      mtu: 1500,
      interContainer: true,
      masquerade: true,
      defaultBindIp: '0.0.0.0',
      addressPools: DEFAULT_ADDRESS_POOLS,
      ...bridge,
    },
    firewall: { kind: 'nftables', tableName: `moored-${bridgeName}` },
    ipForward: true,
    netnsDirectory: join(directory, 'netns'),
  };
}

/** A network room of its own on the real kernel; disposing it takes everything away and says what it could not. */
export class NetworkRig implements AsyncDisposable {
  readonly directory: string;
  readonly options: NetworksOptions;
  readonly events: Omit<EngineEvent, 'time'>[] = [];
  readonly networks: Networks;
  /** Set where the bridge was there before and has to stay. */
  bridgeStays = false;
  readonly #database: Database;
  readonly #servers: Server[] = [];
  readonly #settingsBefore = HOST_SETTINGS.filter((path) => existsSync(path)).map(
    (path) => [path, readFileSync(path, 'utf8')] as const,
  );

  private constructor(directory: string, options: NetworksOptions) {
    this.directory = directory;
    this.options = options;
    this.#database = Database.open(join(directory, 'state.db'));
    const events = { publish: (event: Omit<EngineEvent, 'time'>) => void this.events.push(event) };
    this.networks = createNetworks(
      { kernel, database: this.#database, events, clock: new SystemClock(), logger: silentLogger },
      options,
    );
  }

  /** With a directory and options of before: a restart of that engine. */
  static async start(
    live: Parameters<Networks['restore']>[0] = [],
    directory = mkdtempSync(join(tmpdir(), 'network-')),
    options = rigOptions(directory),
  ): Promise<NetworkRig> {
    const rig = new NetworkRig(directory, options);
    try {
      await rig.networks.restore(live);
    } catch (error) {
      rig.stop();
      rmSync(directory, { recursive: true, force: true });
      throw error;
    }
    return rig;
  }

  static async startWith(
    bridge: Partial<DefaultBridgeWish>,
    others: Partial<NetworksOptions> = {},
  ): Promise<NetworkRig> {
    const directory = mkdtempSync(join(tmpdir(), 'network-'));
    return await NetworkRig.start([], directory, { ...rigOptions(directory, bridge), ...others });
  }

  get bridgeName(): string {
    return this.options.defaultBridge?.bridgeName ?? '';
  }

  get gateway(): string {
    return this.networks.get('bridge').pools[0]?.gateway ?? '';
  }

  async container(request: Partial<SandboxRequest> = {}): Promise<TestContainer> {
    const containerId = newId<ContainerId>();
    return { containerId, sandbox: await setUp(this.networks, { ...requestFor(containerId), ...request }) };
  }

  /** How many links are plugged into the bridge. */
  portCount(): number {
    using route = kernel.openRoute(null);
    const bridge = route.linkByName(this.bridgeName);
    return route.links().filter(({ masterIndex }) => masterIndex !== null && masterIndex === bridge?.index).length;
  }

  /** A server in a container's namespace that tells every caller `label` and the address it sees. */
  async serve(netnsPath: string | null, port: number, label: string): Promise<void> {
    const server = await serveIn(netnsPath, port, label);
    this.#servers.push(server);
  }

  /** Lets go of the state file and nothing else, as the end of the daemon does. */
  stop(): void {
    this.#database[Symbol.dispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) server.close();
    await this.networks.shutDown();
    this.#database[Symbol.dispose]();
    const left = leftovers(this.options).filter((what) => !(this.bridgeStays && what.startsWith('bridge ')));
    rmSync(this.directory, { recursive: true, force: true });
    for (const [path, value] of this.#settingsBefore) {
      if (readFileSync(path, 'utf8') !== value) writeFileSync(path, value);
    }
    if (left.length > 0) throw new Error(`left behind: ${left.join(', ')}`);
  }
}

/** What stands in for a container: its sandbox, without a process. */
export interface TestContainer {
  readonly containerId: ContainerId;
  readonly sandbox: SandboxState;
}

export function requestFor(containerId: ContainerId): SandboxRequest {
  return {
    containerId,
    containerName: `c-${shortId(containerId)}`,
    mode: { kind: 'network', name: 'bridge' },
    endpoints: {},
    portBindings: [],
    publishAll: [],
    macAddress: null,
    sysctls: {},
  };
}

/** `-p hostIp:hostPort:port` */
export function publish(hostPort: number, port: number, hostIp = '', protocol: 'tcp' | 'udp' = 'tcp'): PortBinding {
  return { container: { port, protocol }, hostIp, hostPortStart: hostPort, hostPortEnd: hostPort };
}

export function ipOf({ sandbox }: TestContainer): string {
  return sandbox.endpoints[0]?.ipv4Address ?? '';
}

export function netnsOf({ sandbox }: TestContainer): string {
  if (sandbox.netnsPath === null) throw new Error('no namespace of its own');
  return sandbox.netnsPath;
}

/** Runs a program inside a namespace (null: here) and returns its output; rejects when it fails. */
export async function inside(netnsPath: string | null, ...command: readonly string[]): Promise<string> {
  const enter = netnsPath === null ? [] : ['nsenter', `--net=${netnsPath}`];
  const [program = '', ...args] = [...enter, ...command];
  const { stdout } = await run(program, args, { timeout: 10_000 });
  return stdout.trim();
}

/** Connects from inside a namespace and returns what the server says; rejects when nobody answers within a second. */
export async function call(netnsPath: string | null, host: string, port: number): Promise<string> {
  return await inside(netnsPath, 'timeout', '1', 'busybox', 'nc', host, String(port));
}

/** Another machine: a namespace behind a link of its own, with a default route to this host. */
export class RemoteHost implements Disposable {
  readonly netnsPath: string;
  readonly address: string;
  readonly hostAddress: string;
  readonly #linkName: string;

  constructor(directory: string) {
    const tag = randomBytes(2);
    const prefix = `198.18.${String(tag[0] ?? 0)}`;
    const base = (tag[1] ?? 0) & 0xfc;
    this.hostAddress = `${prefix}.${String(base + 1)}`;
    this.address = `${prefix}.${String(base + 2)}`;
    this.netnsPath = join(directory, 'remote');
    this.#linkName = `ntr${tag.toString('hex')}`;
    kernel.namespaces.createNetns(this.netnsPath);
    const netns = kernel.namespaces.openNetns(this.netnsPath);
    using here = kernel.openRoute(null);
    using there = kernel.openRoute(netns);
    const link = here.createVethPair({
      name: this.#linkName,
      masterIndex: null,
      mtu: 1500,
      peerName: 'eth0',
      peerNetns: netns,
      peerMacAddress: null,
    });
    here.addAddress(link.index, `${this.hostAddress}/30`);
    here.changeLink(link.index, { up: true });
    const peer = there.linkByName('eth0');
    if (peer === null) throw new Error('the veth pair has no other end');
    there.addAddress(peer.index, `${this.address}/30`);
    there.changeLink(peer.index, { up: true });
    there.addRoute({ destination: '0.0.0.0/0', gateway: this.hostAddress, linkIndex: peer.index });
    closeSync(netns);
  }

  [Symbol.dispose](): void {
    using here = kernel.openRoute(null);
    const link = here.linkByName(this.#linkName);
    if (link !== null) here.deleteLink(link.index);
    kernel.namespaces.removeNetns(this.netnsPath);
  }
}

/** Listens in a namespace (null: here), telling every caller `label` and the address it calls from. */
export async function serveIn(netnsPath: string | null, port: number, label: string, host?: string): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(`${label} ${(socket.remoteAddress ?? '').replace('::ffff:', '')}`);
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  if (netnsPath === null) {
    server.listen({ port, ...(host === undefined ? {} : { host }) }, resolve);
  } else {
    // Without a host name to look up, the socket is made at once, inside.
    const netns = kernel.namespaces.openNetns(netnsPath);
    kernel.namespaces.within(netns, () => server.listen(port, resolve));
    closeSync(netns);
  }
  await promise;
  return server;
}

export function tableOf(options: NetworksOptions): string {
  return options.firewall.kind === 'nftables' ? options.firewall.tableName : '';
}

export function nftTables(): string {
  return execFileSync('nft', ['list', 'tables'], { encoding: 'utf8' });
}

/** What an engine with these options has in the kernel now. */
export function leftovers(options: NetworksOptions): readonly string[] {
  const { defaultBridge, netnsDirectory } = options;
  const bridgeName = defaultBridge?.bridgeName ?? '';
  // What the engine notes of forwarding holds until the host's next start, whoever runs by then.
  const files = existsSync(netnsDirectory)
    ? readdirSync(netnsDirectory).filter((name) => !name.startsWith('forwarding-'))
    : [];
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(netnsDirectory));
  const table = tableOf(options);
  using route = kernel.openRoute(null);
  return [
    ...(bridgeName !== '' && route.linkByName(bridgeName) !== null ? [`bridge ${bridgeName}`] : []),
    ...(table !== '' && nftTables().includes(table) ? [`table ${table}`] : []),
    ...files.map((name) => `namespace ${name}`),
    ...mounts.map((line) => `mount ${line}`),
  ];
}
