import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SystemClock } from '../../../src/base/clock.ts';
import { newId } from '../../../src/base/ids.ts';
import type { ContainerId } from '../../../src/base/ids.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import { createLinuxKernel } from '../../../src/engine/kernel/linux/index.ts';
import { createNetworks, DEFAULT_ADDRESS_POOLS } from '../../../src/engine/network/index.ts';
import type { NetworksOptions } from '../../../src/engine/network/index.ts';
import { procSysctls } from '../../../src/engine/network/sysctl.ts';
import type { Networks, SandboxRequest } from '../../../src/engine/network/types.ts';
import { Database } from '../../../src/engine/state/database.ts';
import { failingKernel, failingSysctls, FaultPlan } from './failing-kernel.ts';

const isRoot = process.getuid?.() === 0;

/** More calls than any verb of the room makes: a loop that gets here has lost its way. */
const CALLS_MAX = 100;

/** A room whose kernel calls fail by plan, while all that succeeds happens on the real kernel. */
class FaultyRoom implements AsyncDisposable {
  readonly plan = new FaultPlan();
  readonly bridgeName: string;
  readonly networks: Networks;
  readonly #directory = mkdtempSync(join(tmpdir(), 'network-'));
  readonly #database = Database.open(':memory:');
  readonly #table: string;
  readonly told: string[] = [];

  constructor(tag: string) {
    this.bridgeName = `nf${tag}${String(process.pid)}`.slice(0, 15);
    this.#table = `moored-${this.bridgeName}`;
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
    this.networks = createNetworks(
      {
        kernel: failingKernel(createLinuxKernel(), this.plan),
        sysctls: failingSysctls(procSysctls, this.plan),
        database: this.#database,
        events: { publish: ({ action }) => void this.told.push(action) },
        clock: new SystemClock(),
        logger: silentLogger,
      },
      options,
    );
  }

  /** All that containers have in kernel and state now. */
  traces() {
    const table = execFileSync('nft', ['-n', 'list', 'table', 'ip', this.#table], { encoding: 'utf8' });
    return {
      namespaces: readdirSync(join(this.#directory, 'netns')),
      mounts: readFileSync('/proc/self/mountinfo', 'utf8')
        .split('\n')
        .filter((line) => line.includes(this.#directory)),
      leases: this.#database.all('SELECT address FROM lease').map((row) => row['address']),
      published: [...table.matchAll(/(\d+) : 10\.195\.0\.\d+ \. \d+/g)].map(([, port]) => Number(port)),
      listening: this.listening(),
      endpoints: this.networks.get('bridge').endpoints.length,
      descriptors: readdirSync('/proc/self/fd').length,
    };
  }

  /** Bridge ports go with their namespaces, a moment later. */
  bridgePorts(): readonly string[] {
    return readdirSync(`/sys/class/net/${this.bridgeName}/brif`);
  }

  listening(): number {
    const wanted = new Set([50123, 50124].map((port) => `0100007F:${port.toString(16).toUpperCase()}`));
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
}

function request(): SandboxRequest {
  const binding = {
    container: { port: 80, protocol: 'tcp' },
    hostIp: '',
    hostPortStart: 50123,
    hostPortEnd: 50123,
  } as const;
  return {
    containerId: newId<ContainerId>(),
    containerName: 'victim',
    mode: { kind: 'network', name: 'bridge' },
    endpoints: {},
    portBindings: [binding, { ...binding, hostPortStart: 50124, hostPortEnd: 50124 }],
    publishAll: [],
    macAddress: null,
    sysctls: { 'net.core.somaxconn': '99' },
  };
}

describe.skipIf(!isRoot)(`a kernel call fails${isRoot ? '' : ' (skipped: links and namespaces need root)'}`, () => {
  it('in setUp: nothing of the container is left, and the next start works', async () => {
    await using room = new FaultyRoom('s');
    await room.networks.restore([]);
    // Once without a fault: what is opened on first use (the shared rtnetlink socket) is no leak.
    const first = request();
    await room.networks.tearDown(first.containerId, await room.networks.setUp(first));
    const before = room.traces();
    expect(before).toMatchObject({ namespaces: [], leases: [], published: [], listening: 0, endpoints: 0 });
    room.told.length = 0;
    const failed: string[] = [];
    for (let n = 1; n < CALLS_MAX; n += 1) {
      room.plan.failCall(n);
      const wanted = request();
      const outcome = await room.networks.setUp(wanted).then(
        (sandbox) => ({ sandbox }),
        (error: unknown) => ({ error }),
      );
      room.plan.stop();
      if ('sandbox' in outcome) await room.networks.tearDown(wanted.containerId, outcome.sandbox);
      else expect(String(outcome.error)).toContain('planned fault');
      expect(room.traces(), room.plan.failed ?? 'no fault').toEqual(before);
      if (room.plan.failed === null) break;
      failed.push(room.plan.failed);
    }
    for (const call of [
      'namespaces.createNetns',
      'openRoute',
      'route.createVethPair',
      'route.addRoute',
      'sysctls.write',
    ]) {
      expect(failed).toContain(call);
    }
    await expect.poll(() => room.bridgePorts(), { timeout: 5000 }).toEqual([]);
    // A failed publish is mended by writing the whole table anew, so that container did start; so did the last one.
    expect(room.told).toEqual(['connect', 'disconnect', 'connect', 'disconnect']);
    expect(failed).toContain('nft.run');
  });

  it('in tearDown: everything else goes all the same, the error is told, and a second call finishes', async () => {
    await using room = new FaultyRoom('t');
    await room.networks.restore([]);
    const failed: string[] = [];
    for (let n = 1; n < CALLS_MAX; n += 1) {
      const wanted = request();
      const sandbox = await room.networks.setUp(wanted);
      room.plan.failCall(n);
      await room.networks.tearDown(wanted.containerId, sandbox).catch((error: unknown) => {
        expect(String(error)).toContain('planned fault');
      });
      room.plan.stop();
      await room.networks.tearDown(wanted.containerId, sandbox);
      expect(room.traces()).toMatchObject({
        namespaces: [],
        mounts: [],
        leases: [],
        published: [],
        listening: 0,
        endpoints: 0,
      });
      if (room.plan.failed === null) break;
      failed.push(room.plan.failed);
    }
    expect(failed).toEqual(['nft.run', 'namespaces.removeNetns']);
  });

  it('in restore: the error is told, no rule stays, and the next start works', async () => {
    await using room = new FaultyRoom('r');
    const failed: string[] = [];
    for (let n = 1; n < CALLS_MAX; n += 1) {
      room.plan.failCall(n);
      const error: unknown = await room.networks.restore([]).then(
        () => null,
        (reason: unknown) => reason,
      );
      room.plan.stop();
      if (room.plan.failed === null) break;
      failed.push(room.plan.failed);
      // A kernel without route_localnet or ip_forward is an error too: such a host could not publish ports.
      expect(String(error), room.plan.failed).toContain('planned fault');
      expect(execFileSync('nft', ['list', 'tables'], { encoding: 'utf8' })).not.toContain(room.bridgeName);
    }
    expect(failed).toContain('route.createBridge');
    const wanted = request();
    const sandbox = await room.networks.setUp(wanted);
    expect(sandbox.endpoints[0]?.ipv4Address).toBe('10.195.0.2');
    await room.networks.tearDown(wanted.containerId, sandbox);
  });
});
