import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it, onTestFinished } from 'vitest';
import { newId, shortId } from '../../../src/base/ids.ts';
import type { ContainerId } from '../../../src/base/ids.ts';
import {
  call,
  inside,
  ipOf,
  kernel,
  leftovers,
  netnsOf,
  NetworkRig,
  nftTables,
  publish,
  requestFor,
  rigOptions,
  tableOf,
  unfit,
} from './rig.ts';
import type { TestContainer } from './rig.ts';
import { setUp } from '../../support/sandboxes.ts';

const VICTIM = new URL('victim.ts', import.meta.url).pathname;

const portOf = ({ sandbox }: TestContainer) => sandbox.endpoints[0]!.publishedPorts[0]!.hostPort;

describe.skipIf(unfit !== null)(`the network room${unfit === null ? '' : ` (skipped: ${unfit})`}`, () => {
  it('takes everything of a container away, at once and only once', async () => {
    await using rig = await NetworkRig.start();
    const container = await rig.container({ portBindings: [publish(0, 80)] });
    const { containerId, sandbox } = container;
    expect(rig.networks.get('bridge').endpoints).toEqual(sandbox.endpoints);
    await rig.networks.tearDown(containerId, sandbox);
    await rig.networks.tearDown(containerId, sandbox);
    expect(readdirSync(rig.options.netnsDirectory)).toEqual([]);
    expect(rig.networks.get('bridge').endpoints).toEqual([]);
    expect(execFileSync('nft', ['list', 'table', 'ip', tableOf(rig.options)], { encoding: 'utf8' })).not.toContain(
      `${ipOf(container)} . 80`,
    );
    // The port is free for anybody, the address for the next container.
    const server = createServer().listen(portOf(container), '0.0.0.0');
    await once(server, 'listening');
    server.close();
    expect(ipOf(await rig.container())).toBe(ipOf(container));
    const told = rig.events.map(({ action, attributes }) => [action, attributes['name'], attributes['type']]);
    expect(told.slice(0, 2)).toEqual([
      ['connect', 'bridge', 'bridge'],
      ['disconnect', 'bridge', 'bridge'],
    ]);
    expect(rig.events[0]).toMatchObject({
      actorId: rig.networks.get('bridge').id,
      attributes: { container: containerId },
    });
  });

  it('drops veth pairs with their namespace, without waiting for it', async () => {
    await using rig = await NetworkRig.start();
    const { containerId, sandbox } = await rig.container();
    expect(rig.portCount()).toBe(1);
    await rig.networks.tearDown(containerId, sandbox);
    await expect.poll(() => rig.portCount()).toBe(0);
  });

  it("refuses a port in dockerd's words and leaves nothing of the container", async () => {
    await using rig = await NetworkRig.start();
    const server = createServer().listen(0, '0.0.0.0');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const address = server.address();
    const foreign = typeof address === 'object' && address !== null ? address.port : 0;
    const first = await rig.container({ portBindings: [publish(0, 80)] });
    const taken = portOf(first);
    const refusal = (text: string) =>
      new RegExp(
        `^failed to set up container networking: driver failed programming external connectivity on endpoint db \\([0-9a-f]{64}\\): ${text}$`,
      );
    const start = (hostPort: number, hostIp = '') =>
      rig.container({ containerName: 'db', portBindings: [publish(0, 1), publish(hostPort, 80, hostIp)] });
    await expect(start(taken)).rejects.toThrow(
      refusal(`Bind for 0.0.0.0:${String(taken)} failed: port is already allocated`),
    );
    await expect(start(taken, '127.0.0.1')).rejects.toThrow(
      refusal(`failed to bind host port for 127.0.0.1:${String(taken)}:[0-9.]+:80/tcp: address already in use`),
    );
    await expect(start(foreign)).rejects.toThrow(
      refusal(`failed to bind host port for 0.0.0.0:${String(foreign)}:[0-9.]+:80/tcp: address already in use`),
    );
    await expect(start(8082, '198.51.100.1')).rejects.toThrow(
      refusal('failed to bind host port for 198.51.100.1:8082:[0-9.]+:80/tcp: cannot assign requested address'),
    );
    expect(readdirSync(rig.options.netnsDirectory)).toEqual([first.sandbox.netnsPath?.split('/').at(-1)]);
    expect(rig.networks.get('bridge').endpoints).toEqual(first.sandbox.endpoints);
    const second = await rig.container();
    expect(Number(ipOf(second).split('.')[3])).toBe(Number(ipOf(first).split('.')[3]) + 1);
  });

  it('keeps two engines on one host apart', async () => {
    await using left = await NetworkRig.start();
    const directory = mkdtempSync(join(tmpdir(), 'network-'));
    const options = rigOptions(directory);
    {
      await using right = await NetworkRig.start([], directory, options);
      const mine = await left.container({ portBindings: [publish(0, 80)] });
      const theirs = await right.container({ portBindings: [publish(0, 80)] });
      await left.serve(netnsOf(mine), 80, 'left');
      await right.serve(netnsOf(theirs), 80, 'right');
      expect(portOf(theirs)).not.toBe(portOf(mine));
      expect(await call(null, '127.0.0.1', portOf(mine))).toMatch(/^left /);
      expect(await call(null, '127.0.0.1', portOf(theirs))).toMatch(/^right /);
      await expect(call(netnsOf(mine), ipOf(theirs), 80)).rejects.toThrow();
      expect(await call(netnsOf(mine), left.gateway, portOf(theirs))).toMatch(/^right /);
      await right.networks.shutDown();
      expect(leftovers(right.options)).toEqual([]);
      expect(await call(null, '127.0.0.1', portOf(mine))).toMatch(/^left /);
    }
  });

  it('comes back after a kill: running containers notice nothing, the rest is swept', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'network-'));
    const options = rigOptions(directory);
    const victim = spawn(process.execPath, [VICTIM, directory, JSON.stringify(options)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const [line] = (await once(createInterface({ input: victim.stdout }), 'line')) as [string];
    const { containers, interrupted } = JSON.parse(line) as Record<'containers', TestContainer[]> & {
      interrupted: TestContainer;
    };
    const [first, second] = containers as [TestContainer, TestContainer];
    victim.kill('SIGKILL');
    await once(victim, 'exit');

    await using rig = await NetworkRig.start(containers, directory, options);
    await rig.serve(netnsOf(second), 80, 'alive');
    expect(await call(netnsOf(first), ipOf(second), 80)).toBe(`alive ${ipOf(first)}`);
    expect(await call(null, '127.0.0.1', portOf(second))).toBe(`alive ${rig.gateway}`);
    expect(rig.networks.get('bridge').endpoints).toEqual(containers.flatMap(({ sandbox }) => sandbox.endpoints));
    await expect(rig.container({ portBindings: [publish(portOf(second), 80, '127.0.0.1')] })).rejects.toThrow(
      'port is already allocated',
    );
    expect(existsSync(netnsOf(interrupted))).toBe(false);
    expect(readdirSync(rig.options.netnsDirectory).sort()).toEqual(
      containers.map((container) => netnsOf(container).split('/').at(-1)).sort(),
    );
    const table = execFileSync('nft', ['list', 'table', 'ip', tableOf(options)], { encoding: 'utf8' });
    expect(table).not.toContain(ipOf(interrupted));
    expect(ipOf(await rig.container())).toBe(ipOf(interrupted));
    expect(rig.events.map(({ action }) => action)).toEqual(['connect']);
  });

  it('takes nothing from others when a container that ended meanwhile is cleaned up late', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'network-'));
    const options = rigOptions(directory);
    const first = await NetworkRig.start([], directory, options);
    const gone = await first.container({ portBindings: [publish(28083, 80, '127.0.0.1')] });
    await first.networks.tearDown(gone.containerId, gone.sandbox);
    first.stop();
    await using rig = await NetworkRig.start([], directory, options);
    const next = await rig.container({ portBindings: [publish(28083, 80, '127.0.0.1')] });
    expect(ipOf(next)).toBe(ipOf(gone));
    await rig.networks.tearDown(gone.containerId, gone.sandbox);
    await rig.serve(netnsOf(next), 80, 'mine');
    expect(await call(null, '127.0.0.1', 28083)).toBe(`mine ${rig.gateway}`);
    expect(ipOf(await rig.container())).not.toBe(ipOf(next));
  });

  it('starts a container again whose last namespace could not be removed', async () => {
    await using rig = await NetworkRig.start();
    const id = newId<ContainerId>();
    kernel.namespaces.createNetns(join(rig.options.netnsDirectory, shortId(id)));
    const sandbox = await setUp(rig.networks, requestFor(id));
    await rig.serve(sandbox.netnsPath, 80, 'again');
    expect(await call(null, sandbox.endpoints[0]!.ipv4Address!, 80)).toBe(`again ${rig.gateway}`);
    await rig.networks.tearDown(id, sandbox);
  });

  it('puts back what somebody took away: bridge and table', async () => {
    await using rig = await NetworkRig.start();
    execFileSync('ip', ['link', 'del', rig.bridgeName]);
    execFileSync('nft', ['delete', 'table', 'ip', tableOf(rig.options)]);
    const container = await rig.container({ portBindings: [publish(0, 80)] });
    await rig.serve(netnsOf(container), 80, 'back');
    expect(await call(null, '127.0.0.1', portOf(container))).toBe(`back ${rig.gateway}`);
  });

  it('keeps ids and addresses over restarts, and takes a new --bip when nothing runs', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'network-'));
    const options = rigOptions(directory, { bip: null });
    const ids = (rig: NetworkRig) => Object.fromEntries(rig.networks.list().map(({ name, id }) => [name, id]));
    const first = await NetworkRig.start([], directory, options);
    const subnet = first.networks.get('bridge').pools[0]!.subnet;
    const known = ids(first);
    first.stop();
    const second = await NetworkRig.start([], directory, options);
    expect(ids(second)).toEqual(known);
    expect(second.networks.get('bridge').pools[0]!.subnet).toBe(subnet);
    const container = await second.container();
    second.stop();
    const defaultBridge = { ...options.defaultBridge!, bip: '10.198.7.1/24' };
    // With a container running the bridge must stay as it is.
    const third = await NetworkRig.start([container], directory, { ...options, defaultBridge });
    expect(third.networks.get('bridge').pools[0]!.subnet).toBe(subnet);
    await third.networks.tearDown(container.containerId, container.sandbox);
    await expect.poll(() => third.portCount()).toBe(0);
    third.stop();
    await using last = await NetworkRig.start([], directory, { ...options, defaultBridge });
    expect(last.gateway).toBe('10.198.7.1');
    expect(ids(last)).toEqual(known);
    expect(ipOf(await last.container())).toBe('10.198.7.2');
  });

  it('touches no packet filter with --iptables=false', async () => {
    const before = nftTables();
    await using rig = await NetworkRig.startWith({}, { firewall: { kind: 'none' } });
    const [first, second] = [await rig.container({ portBindings: [publish(0, 80)] }), await rig.container()];
    await rig.serve(netnsOf(second), 80, 'plain');
    expect(await call(netnsOf(first), ipOf(second), 80)).toBe(`plain ${ipOf(first)}`);
    expect(nftTables()).toBe(before);
    expect(await inside(null, 'cat', `/proc/sys/net/ipv4/conf/${rig.bridgeName}/route_localnet`)).toBe('0');
  });

  it('gives containers of --bridge none only their loopback link, as dockerd does', async () => {
    await using rig = await NetworkRig.startWith(
      {},
      { defaultBridge: null, firewall: { kind: 'nftables', tableName: 'moored-nt-none' } },
    );
    expect(
      rig.networks
        .list()
        .map(({ name }) => name)
        .sort(),
    ).toEqual(['host', 'none']);
    const container = await rig.container();
    expect(container.sandbox.endpoints).toEqual([]);
    expect((await inside(netnsOf(container), 'ip', '-o', 'link')).split('\n')).toHaveLength(await defaultLinkCount());
    await rig.networks.tearDown(container.containerId, container.sandbox);
  });

  it('joins host, none and other containers', async () => {
    await using rig = await NetworkRig.start();
    const host = await rig.container({ mode: { kind: 'host' }, portBindings: [publish(1, 80)] });
    expect(host.sandbox).toMatchObject({
      netnsPath: null,
      endpoints: [{ networkName: 'host', ipv4Address: null, macAddress: '' }],
    });
    const none = await rig.container({ mode: { kind: 'none' } });
    expect(none.sandbox.endpoints).toMatchObject([{ networkName: 'none', publishedPorts: [] }]);
    expect(existsSync(netnsOf(none))).toBe(true);
    expect(await rig.container({ mode: { kind: 'container', ref: 'x' } })).toMatchObject({
      sandbox: { netnsPath: null, endpoints: [] },
    });
    expect(rig.events.map(({ attributes }) => attributes['type'])).toEqual(['host', 'null']);
    await expect(rig.container({ mode: { kind: 'network', name: 'nope' } })).rejects.toMatchObject({
      kind: 'not-found',
      message: 'failed to set up container networking: network nope not found',
    });
    for (const { containerId, sandbox } of [host, none]) await rig.networks.tearDown(containerId, sandbox);
    expect(rig.networks.list().flatMap(({ endpoints }) => endpoints)).toEqual([]);
  });

  it('leaves files in its directory alone that it did not make', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'network-'));
    const options = rigOptions(directory);
    const rig = await NetworkRig.start([], directory, options);
    const path = join(options.netnsDirectory, 'README');
    writeFileSync(path, 'by the administrator');
    await rig.networks.restore([]);
    await rig.networks.shutDown();
    expect(leftovers(options)).toEqual(['namespace README']);
    execFileSync('rm', ['-r', directory]);
  });
});

/** Some kernels put tunnel links into every new namespace. */
async function defaultLinkCount(): Promise<number> {
  return (await inside(null, 'unshare', '-n', 'ip', '-o', 'link')).split('\n').length;
}
