import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { call, inside, ipOf, netnsOf, NetworkRig, nftTables, publish, RemoteHost, serveIn, unfit } from './rig.ts';
import type { TestContainer } from './rig.ts';

describe.skipIf(unfit !== null)(`the default bridge${unfit === null ? '' : ` (skipped: ${unfit})`}`, () => {
  it('gives a container address, routes and loopback, and nothing of IPv6', async () => {
    await using rig = await NetworkRig.start();
    const container = await rig.container({ macAddress: '02:42:99:99:99:99', sysctls: { 'net.core.somaxconn': '77' } });
    const netns = netnsOf(container);
    const subnet = rig.gateway.replace(/1$/, '0/24');
    expect(container.sandbox.endpoints).toEqual([
      expect.objectContaining({
        interfaceName: 'eth0',
        networkName: 'bridge',
        ipv4Address: rig.gateway.replace(/1$/, '2'),
        ipv4PrefixLength: 24,
        ipv4Gateway: rig.gateway,
        macAddress: '02:42:99:99:99:99',
      }),
    ]);
    const links = await inside(netns, 'ip', '-o', 'link');
    expect(links).toMatch(/lo: .*[<,]UP[,>]/);
    expect(links).toMatch(/eth0@.*[<,]UP[,>].*mtu 1500.*02:42:99:99:99:99/s);
    const ipv6 = await inside(netns, 'ip', '-o', '-6', 'addr');
    expect(ipv6.match(/inet6 \S+/g)).toEqual(['inet6 ::1/128']);
    const routes = (await inside(netns, 'ip', 'route')).split('\n').map((line) => line.trim());
    expect(routes[0]).toBe(`default via ${rig.gateway} dev eth0`);
    expect(routes[1]).toMatch(new RegExp(`^${subnet} dev eth0 .*src ${ipOf(container)}$`));
    expect(await inside(netns, 'cat', '/proc/sys/net/core/somaxconn')).toBe('77');
    expect(await inside(null, 'bridge', '-d', 'link')).toContain('hairpin on');
  });

  it('connects containers with one another, with this host, and by NAT with others', async () => {
    await using rig = await NetworkRig.start();
    using remote = new RemoteHost(rig.directory);
    const [first, second] = [await rig.container(), await rig.container()];
    await rig.serve(netnsOf(second), 80, 'neighbour');
    await rig.serve(remote.netnsPath, 80, 'world');
    expect(await call(netnsOf(first), ipOf(second), 80)).toBe(`neighbour ${ipOf(first)}`);
    expect(await call(null, ipOf(second), 80)).toBe(`neighbour ${rig.gateway}`);
    expect(await call(netnsOf(first), remote.address, 80)).toBe(`world ${remote.hostAddress}`);
  });

  it('leads published ports in from everywhere, and nothing else from outside', async () => {
    await using rig = await NetworkRig.start();
    using remote = new RemoteHost(rig.directory);
    const container = await rig.container({ portBindings: [publish(0, 80), publish(28081, 81, remote.hostAddress)] });
    const neighbour = await rig.container();
    for (const port of [80, 81, 82]) await rig.serve(netnsOf(container), port, `port ${String(port)}`);
    const hostPort = container.sandbox.endpoints[0]!.publishedPorts.find(
      (port) => port.container.port === 80,
    )!.hostPort;

    expect(await call(null, '127.0.0.1', hostPort)).toBe(`port 80 ${rig.gateway}`);
    expect(await call(null, '127.8.8.8', hostPort)).toBe(`port 80 ${rig.gateway}`);
    expect(await call(null, remote.hostAddress, hostPort)).toMatch(/^port 80 /);
    expect(await call(null, remote.hostAddress, 28081)).toMatch(/^port 81 /);
    expect(await call(remote.netnsPath, remote.hostAddress, hostPort)).toBe(`port 80 ${remote.address}`);
    expect(await call(remote.netnsPath, remote.hostAddress, 28081)).toBe(`port 81 ${remote.address}`);
    // Another container, and the container itself, through the host's address.
    expect(await call(netnsOf(neighbour), rig.gateway, hostPort)).toBe(`port 80 ${rig.gateway}`);
    expect(await call(netnsOf(container), rig.gateway, hostPort)).toBe(`port 80 ${rig.gateway}`);
    expect(await call(netnsOf(container), remote.hostAddress, 28081)).toBe(`port 81 ${rig.gateway}`);

    await expect(call(null, '127.0.0.1', 28081)).rejects.toThrow();
    await expect(call(remote.netnsPath, remote.hostAddress, 28082)).rejects.toThrow();
    // The remote host has a route to the containers' subnet through this host; the firewall lets it get nowhere.
    await expect(call(remote.netnsPath, ipOf(container), 80)).rejects.toThrow();
    await expect(call(remote.netnsPath, ipOf(container), 82)).rejects.toThrow();
  });

  it('leads UDP in', async () => {
    await using rig = await NetworkRig.start();
    const container = await rig.container({ portBindings: [publish(0, 5353, '127.0.0.1', 'udp')] });
    const { hostPort } = container.sandbox.endpoints[0]!.publishedPorts[0]!;
    const echo = `const s=require('dgram').createSocket('udp4');s.on('message',(m,r)=>s.send('udp '+m,r.port,r.address,()=>s.close()));s.bind(5353,'0.0.0.0',()=>console.log('up'))`;
    const ask = `const s=require('dgram').createSocket('udp4');s.on('message',(m)=>{console.log(String(m));s.close()});const t=setInterval(()=>s.send('hello',${String(hostPort)},'127.0.0.1'),100);s.on('close',()=>clearInterval(t))`;
    const server = inside(netnsOf(container), process.execPath, '-e', echo);
    expect(await inside(null, process.execPath, '-e', ask)).toBe('udp hello');
    expect(await server).toBe('up');
  });

  it('keeps the loopback services of the host from containers, although its bridge routes 127.0.0.0/8', async () => {
    await using rig = await NetworkRig.start();
    const container = await rig.container();
    const netns = netnsOf(container);
    const server = await serveIn(null, 0, 'secret', '127.0.0.1');
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    try {
      // What a hostile container with NET_ADMIN does: send packets for 127.0.0.1 to the gateway.
      await inside(netns, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet');
      await inside(netns, 'ip', 'addr', 'del', '127.0.0.1/8', 'dev', 'lo');
      await inside(netns, 'ip', 'route', 'add', '127.0.0.1', 'via', rig.gateway, 'src', ipOf(container));
      expect(await call(null, '127.0.0.1', port)).toBe('secret 127.0.0.1');
      await expect(call(netns, '127.0.0.1', port)).rejects.toThrow();
    } finally {
      server.close();
    }
  });

  it('keeps containers apart with --icc=false, and leads their ports in all the same', async () => {
    await using rig = await NetworkRig.startWith({ interContainer: false });
    const [first, second] = [await rig.container(), await rig.container({ portBindings: [publish(0, 80)] })];
    await rig.serve(netnsOf(second), 80, 'apart');
    await expect(call(netnsOf(first), ipOf(second), 80)).rejects.toThrow();
    const { hostPort } = second.sandbox.endpoints[0]!.publishedPorts[0]!;
    expect(await call(null, '127.0.0.1', hostPort)).toBe(`apart ${rig.gateway}`);
  });

  it('opens with --icc=false what a link’s target exposes, to the link’s holder alone and while both run', async () => {
    await using rig = await NetworkRig.startWith({ interContainer: false });
    const target = await rig.container();
    const { containerId } = target;
    const link = { containerId, ports: [{ port: 80, protocol: 'tcp' }] } as const;
    const [holder, other] = [await rig.container({ opened: [link] }), await rig.container()];
    const reach = (from: TestContainer, port: number): Promise<string> =>
      call(netnsOf(from), ipOf(target), port).catch(() => 'closed');
    for (const port of [80, 81]) await rig.serve(netnsOf(target), port, 'linked');
    await expect.poll(() => reach(holder, 80), { timeout: 10_000 }).toBe(`linked ${ipOf(holder)}`);
    expect(await Promise.all([reach(holder, 81), reach(other, 80)])).toEqual(['closed', 'closed']);
    await rig.networks.tearDown(holder.containerId, holder.sandbox);
    const heir = await rig.container();
    expect(ipOf(heir)).not.toBe(ipOf(target));
    expect(await reach(heir, 80)).toBe('closed');
  });

  it('uses a bridge that somebody else made, with its address, and leaves it there', async () => {
    const name = `ntx${String(process.pid)}`.slice(0, 15);
    execFileSync('ip', ['link', 'add', name, 'type', 'bridge']);
    execFileSync('ip', ['addr', 'add', '10.199.77.9/24', 'dev', name]);
    try {
      await using rig = await NetworkRig.startWith({ bridgeName: name, bip: null });
      rig.bridgeStays = true;
      expect(rig.gateway).toBe('10.199.77.9');
      const container = await rig.container();
      expect(ipOf(container)).toBe('10.199.77.1');
      await rig.serve(netnsOf(container), 80, 'theirs');
      expect(await call(null, '10.199.77.1', 80)).toBe('theirs 10.199.77.9');
      await rig.networks.shutDown();
      expect(execFileSync('ip', ['-4', '-o', 'addr', 'show', name], { encoding: 'utf8' })).toContain('10.199.77.9/24');
    } finally {
      execFileSync('ip', ['link', 'del', name]);
    }
  });

  it('refuses a --bip that a bridge of somebody else does not have', async () => {
    const name = `nty${String(process.pid)}`.slice(0, 15);
    execFileSync('ip', ['link', 'add', name, 'type', 'bridge']);
    execFileSync('ip', ['addr', 'add', '10.199.78.9/24', 'dev', name]);
    try {
      await expect(NetworkRig.startWith({ bridgeName: name, bip: '10.199.79.1/24' })).rejects.toThrow(
        'bridge IPv4 (10.199.78.9/24) does not match requested configuration 10.199.79.1/24',
      );
      expect(nftTables()).not.toContain(name);
    } finally {
      execFileSync('ip', ['link', 'del', name]);
    }
  });
});
