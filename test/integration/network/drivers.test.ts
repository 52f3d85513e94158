/** What drivers make of networks: on a host of network namespaces, by the unmodified CLI. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine } from '../../support/engine.ts';
import { LAB_ADDRESS, NetworkLab, type NetnsPath } from '../../support/network-lab.ts';

const isRoot = process.getuid?.() === 0;

/** A router advertisement from the router's side of the host's wire: `I am a default router for half an hour`. */
const ADVERTISE = `
import socket, struct
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'lan')
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
s.sendto(struct.pack('!BBHBBHII', 134, 0, 0, 64, 0, 1800, 0, 0), ('ff02::1', 0, 0, socket.if_nametoindex('lan')))`;

describe.skipIf(!isRoot)(`networks of all drivers${isRoot ? '' : ' (skipped: needs root)'}`, () => {
  const ground = new AsyncDisposableStack();
  let lab: NetworkLab;
  let engine: TestEngine;

  beforeAll(async () => {
    lab = ground.use(await NetworkLab.open());
    await lab.ok('host', 'sysctl', '-qw', 'net.ipv6.conf.eth0.accept_ra=1');
    while (!(await advertised()).includes('via fe80::')) await advertise();
    engine = ground.use(
      await TestEngine.startIn(
        lab.netns('host'),
        ...['--ipv6', '--fixed-cidr-v6', 'fd00:77::/64'],
        ...['--default-network-opt', 'bridge=com.docker.network.driver.mtu=1400'],
      ),
    );
    await engine.importBusybox();
  });
  afterAll(async () => {
    await ground.disposeAsync();
  });

  const advertise = async (): Promise<string> => await lab.ok('router', 'python3', '-c', ADVERTISE);
  const advertised = async (): Promise<string> => await lab.ok('host', 'ip', '-6', 'route', 'show', 'proto', 'ra');
  const start = async (name: string, ...args: readonly string[]): Promise<string> =>
    await engine.dockerOk('run', '-d', '--name', name, ...args, 'busybox', 'sleep', '600');
  const inside = async (name: string, ...argv: readonly string[]): Promise<string> =>
    await engine.dockerOk('exec', name, ...argv);
  const refused = async (...args: readonly string[]): Promise<string> => (await engine.docker(args)).stderr.trim();
  const onHost = async (...argv: readonly string[]): Promise<string> => (await lab.ok('host', ...argv)).trim();

  it('have the host pass IPv6 on, which goes on taking its own routers’ advertisements', async () => {
    expect(await onHost('sysctl', '-n', 'net.ipv6.conf.all.forwarding', 'net.ipv6.conf.eth0.accept_ra')).toBe('1\n2');
    expect(await advertised()).toContain('via fe80::');
    await onHost('ip', '-6', 'route', 'del', 'default', 'proto', 'ra');
    expect(await advertised()).toBe('');
    await advertise();
    await expect.poll(advertised).toContain('via fe80::');
  });

  it('of both families on the default bridge, by --ipv6 and --fixed-cidr-v6', async () => {
    await start('both');
    expect(await inside('both', 'ip', '-6', 'addr', 'show', 'dev', 'eth0')).toContain('inet6 fd00:77::2/64');
    expect(await inside('both', 'ip', '-6', 'route')).toContain('default via fd00:77::1 dev eth0');
    await inside('both', 'ping', '-c1', '-W2', 'fd00:77::1');
    await inside('both', 'ping', '-c1', '-W2', LAB_ADDRESS.host.ipv6);
    const [bridge] = JSON.parse(await engine.dockerOk('network', 'inspect', 'bridge')) as readonly {
      readonly EnableIPv6: boolean;
      readonly IPAM: { readonly Config: readonly { readonly Subnet: string; readonly Gateway?: string }[] };
    }[];
    expect(bridge?.EnableIPv6).toBe(true);
    expect(bridge?.IPAM.Config.map(({ Subnet }) => Subnet)).toContain('fd00:77::/64');
    await engine.dockerOk('rm', '-f', 'both');
  });

  it('of IPv6 alone, and one that a container without IPv6 joins while it runs', async () => {
    await engine.dockerOk('network', 'create', '--ipv4=false', '--ipv6', '--subnet', 'fd00:78::/64', 'six');
    await engine.dockerOk('network', 'create', 'four');
    await start('six', '--net', 'six');
    expect(await inside('six', 'ip', '-o', '-4', 'addr', 'show', 'dev', 'eth0')).toBe('');
    expect(await inside('six', 'ip', '-6', 'route')).toContain('default via fd00:78::1 dev eth0');
    await start('four', '--net', 'four');
    expect(await inside('four', 'ip', '-o', '-6', 'addr')).not.toContain('eth0');
    expect(await inside('four', 'ip', '-o', '-6', 'addr')).toContain('::1/128');
    await engine.dockerOk('network', 'connect', 'six', 'four');
    expect(await inside('four', 'ip', '-o', '-6', 'addr', 'show', 'dev', 'eth1')).toContain('fd00:78::3/64');
    await inside('four', 'ping', '-c1', '-W2', 'fd00:78::2');
    await engine.dockerOk('network', 'disconnect', 'six', 'four');
    expect(await inside('four', 'ip', '-o', 'link')).not.toContain('eth1');
    await engine.dockerOk('rm', '-f', 'four', 'six');
    await engine.dockerOk('network', 'rm', 'four', 'six');
  });

  it('name interfaces and set their parameters as options say', async () => {
    const prefix = 'com.docker.network.container_iface_prefix=lan';
    await engine.dockerOk('network', 'create', '-o', prefix, '--subnet', '10.61.0.0/24', 'named');
    const [named] = JSON.parse(await engine.dockerOk('network', 'inspect', 'named')) as readonly {
      readonly Options: Readonly<Record<string, string>>;
    }[];
    expect(named?.Options).toEqual({
      'com.docker.network.container_iface_prefix': 'lan',
      'com.docker.network.driver.mtu': '1400',
    });
    const sysctls = 'com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1';
    await start('plain', '--network', `name=named,driver-opt=${sysctls}`);
    expect(await inside('plain', 'ip', '-o', 'link', 'show', 'lan0')).toContain('mtu 1400');
    expect(await inside('plain', 'cat', '/proc/sys/net/ipv4/conf/lan0/log_martians')).toBe('1');
    await start('wished', '--network', 'name=named,driver-opt=com.docker.network.endpoint.ifname=wan7');
    expect(await inside('wished', 'ip', '-o', 'addr', 'show', 'wan7')).toContain('10.61.0.3/24');
    const bad = 'com.docker.network.endpoint.sysctls=net.ipv4.ip_forward=1';
    expect(await refused('run', '--rm', '--network', `name=named,driver-opt=${bad}`, 'busybox', 'true')).toContain(
      "'net.ipv4.ip_forward=1'",
    );
    await engine.dockerOk('rm', '-f', 'plain', 'wished');
    await engine.dockerOk('network', 'rm', 'named');
  });

  it.each([
    { flags: ['--subnet', '10.66.0.0/24'], address: '10.66.0.3' },
    { flags: ['--ipv4=false', '--ipv6', '--subnet', 'fd00:66::/64'], address: 'fd00:66::3' },
  ])('tell the neighbours whose an address is now: $address', async ({ flags, address }) => {
    await engine.dockerOk('network', 'create', ...flags, 'heard');
    // Its MAC address follows from its only IP address: it announces nothing, by which it would forget its neighbours.
    await start('old', '--net', 'heard');
    const key = await engine.dockerOk('inspect', '-f', '{{.NetworkSettings.SandboxKey}}', 'old');
    const neighbour = async (verb: string, ...words: readonly string[]): Promise<string> =>
      await lab.ok(key as NetnsPath, 'ip', 'neighbour', verb, address, ...words, 'dev', 'eth0');
    await neighbour('replace', 'lladdr', '02:42:00:00:00:99', 'nud', 'reachable');
    await start('new', '--network', 'name=heard,mac-address=02:42:00:00:00:07');
    await expect.poll(() => neighbour('show')).toContain('02:42:00:00:00:07');
    await engine.dockerOk('rm', '-f', 'old', 'new');
    await engine.dockerOk('network', 'rm', 'heard');
  });

  it('internal ones lead nowhere, isolated ones not even to the host', async () => {
    const isolated = ['ipv4', 'ipv6'].flatMap((family) => [
      '-o',
      `com.docker.network.bridge.gateway_mode_${family}=isolated`,
    ]);
    await engine.dockerOk('network', 'create', '--internal', '--ipv6', '--subnet', '10.62.0.0/24', 'within');
    await engine.dockerOk(
      'network',
      'create',
      '--internal',
      '--ipv6',
      ...isolated,
      '-o',
      bridgeNamed('alone0'),
      'alone',
    );
    await start('within', '--net', 'within');
    for (const family of ['-4', '-6']) expect(await inside('within', 'ip', family, 'route')).not.toContain('default');
    await inside('within', 'ping', '-c1', '-W2', '10.62.0.1');
    expect(await onHost('ip', '-o', 'addr', 'show', 'dev', 'alone0')).toBe('');
    await start('alone', '--net', 'alone');
    expect(await inside('alone', 'ip', 'route')).not.toContain('default');
    expect(await refused('network', 'create', ...isolated, 'open')).toBe(
      "Error response from daemon: gateway mode 'isolated' can only be used for an internal network",
    );
    await engine.dockerOk('rm', '-f', 'within', 'alone');
    await engine.dockerOk('network', 'rm', 'within', 'alone');
  });

  it('use a bridge that somebody else made, and leave it', async () => {
    await onHost('ip', 'link', 'add', 'theirs', 'type', 'bridge');
    await onHost('ip', 'addr', 'add', '10.63.0.1/24', 'dev', 'theirs');
    await engine.dockerOk('network', 'create', '-o', bridgeNamed('theirs'), '--subnet', '10.63.0.0/24', 'foreign');
    await start('guest', '--net', 'foreign');
    await inside('guest', 'ping', '-c1', '-W2', '10.63.0.1');
    expect(await refused('network', 'create', '-o', bridgeNamed('theirs'), 'twice')).toMatch(
      /conflicts with network [0-9a-f]{64} \(theirs\): networks have same bridge name$/,
    );
    await engine.dockerOk('rm', '-f', 'guest');
    await engine.dockerOk('network', 'rm', 'foreign');
    expect(await onHost('ip', '-o', 'addr', 'show', 'dev', 'theirs')).toContain('10.63.0.1/24');
    expect(await refused('network', 'create', '-o', bridgeNamed('eth0'), 'clash')).toBe(
      'Error response from daemon: the interface eth0 exists already and is not a bridge',
    );
    await onHost('ip', 'link', 'del', 'theirs');
  });

  it('mend a bridge that somebody deletes under running containers', async () => {
    await engine.dockerOk(
      'network',
      'create',
      '--ipv6',
      '--subnet',
      '10.64.0.0/24',
      '-o',
      bridgeNamed('mended0'),
      'mended',
    );
    await start('left', '--net', 'mended');
    await start('right', '--net', 'mended');
    await onHost('ip', 'link', 'del', 'mended0');
    const reaches = async (): Promise<number | null> =>
      (await engine.docker(['exec', 'left', 'ping', '-c1', '-W1', '10.64.0.3'])).code;
    await expect.poll(reaches).toBe(0);
    await inside('left', 'ping', '-c1', '-W2', '10.64.0.1');
    await engine.dockerOk('rm', '-f', 'left', 'right');
    await engine.dockerOk('network', 'rm', 'mended');
    expect(await onHost('ip', '-o', 'link')).not.toContain('mended0');
  });

  it('macvlan puts containers on the host’s own wire', async ({ skip }) => {
    const address = { ipv4: '198.51.100.60', ipv6: '2001:db8:2::60' };
    await engine.dockerOk(
      ...['network', 'create', '-d', 'macvlan', '-o', 'parent=eth0', '--ipv6'],
      ...['--subnet', '198.51.100.0/24', '--gateway', LAB_ADDRESS.router.ipv4],
      ...['--subnet', '2001:db8:2::/64', '--gateway', LAB_ADDRESS.router.ipv6, 'wire'],
    );
    const { code, stderr } = await engine.docker(
      ['run', '-d', '--name', 'box', '--net', 'wire', '--ip', address.ipv4, '--ip6', address.ipv6].concat([
        'busybox',
        'sleep',
        '600',
      ]),
    );
    if (stderr.includes('failed to create the macvlan port: operation not supported')) {
      await engine.dockerOk('rm', '-f', 'box');
      await engine.dockerOk('network', 'rm', 'wire');
      skip('this kernel has no macvlan links');
    }
    expect([code, stderr]).toEqual([0, '']);
    expect(await inside('box', 'ip', 'route')).toContain(`default via ${LAB_ADDRESS.router.ipv4} dev eth0`);
    expect(await inside('box', 'ip', '-6', 'route')).toContain(`default via ${LAB_ADDRESS.router.ipv6} dev eth0`);
    for (const one of Object.values(address)) {
      await lab.ok('neighbour', 'busybox', 'ping', '-c1', '-W2', one);
      await lab.ok('client', 'busybox', 'ping', '-c1', '-W2', one);
    }
    await engine.dockerOk('rm', '-f', 'box');
    await engine.dockerOk('network', 'rm', 'wire');
  });

  it('ipvlan does what the kernel can, and says so where it cannot', async () => {
    await engine.dockerOk('network', 'create', '-d', 'ipvlan', '-o', 'parent=eth0', '--subnet', '10.65.0.0/24', 'ipv');
    const { code, stderr } = await engine.docker(['run', '--rm', '--net', 'ipv', 'busybox', 'ip', '-o', 'addr']);
    if (code !== 0) expect(stderr).toContain('failed to create the ipvlan port: operation not supported');
    expect(await refused('network', 'create', '-d', 'ipvlan', '-o', 'ipvlan_mode=l4', 'x')).toBe(
      "Error response from daemon: requested ipvlan mode 'l4' is not valid, 'l2' mode is the ipvlan driver default",
    );
    await engine.removeContainers();
    await engine.dockerOk('network', 'rm', 'ipv');
  });
});

/** `-o` for a bridge of this name. */
function bridgeNamed(name: string): string {
  return `com.docker.network.bridge.name=${name}`;
}
