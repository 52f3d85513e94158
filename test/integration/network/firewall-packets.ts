import { spawn, type ChildProcess } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine, until } from '../../support/engine.ts';
import { LAB_ADDRESS, NetworkLab } from '../../support/network-lab.ts';
import type { LabAnswer, LabHost, NetnsPath } from '../../support/network-lab.ts';

const { client, host, neighbour } = LAB_ADDRESS;

const NODE = new URL('../../../bin/node', import.meta.url).pathname;

/** Who answers does so within this time, however busy the machine is. */
const ANSWER_MS = 5000;

/** How a port is asked. */
export interface Question {
  readonly protocol?: 'tcp' | 'udp';
  readonly limitMs?: number;
}

/** Where nobody is expected to answer: as long as all this takes when somebody does. */
export const SILENT: Question = { limitMs: 400 };

/** By datagrams. */
export const UDP: Question = { protocol: 'udp' };

/** A container on the host, with its addresses. */
export interface Container {
  readonly netns: NetnsPath;
  readonly ipv4: string;
  readonly ipv6: string;
  /** Who answers in it. */
  readonly server: Disposable;
}

/** An engine on the lab's host, and containers that answer on port 80 with the address they see. */
export class FirewallLab implements AsyncDisposable {
  readonly lab: NetworkLab;
  readonly engine: TestEngine;

  private constructor(lab: NetworkLab, engine: TestEngine) {
    this.lab = lab;
    this.engine = engine;
  }

  static async open(...flags: readonly string[]): Promise<FirewallLab> {
    const lab = await NetworkLab.open();
    // As on a machine that is no router; namespaces inherit what this one is.
    for (const key of ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding']) {
      await lab.ok('host', 'sysctl', '-qw', `${key}=0`);
    }
    const engine = await TestEngine.startIn(lab.netns('host'), ...flags);
    await engine.importBusybox();
    // The way back for those who know the containers' networks.
    for (const on of ['router', 'neighbour'] as const) {
      await lab.ok(on, 'ip', 'route', 'add', '10.128.0.0/9', 'via', host.ipv4);
      await lab.ok(on, 'ip', '-6', 'route', 'add', 'fd00::/8', 'via', host.ipv6);
    }
    return new FirewallLab(lab, engine);
  }

  /** Makes a dual-stack network `10.199.<number>.0/24`, `fd00:<number>::/64`. */
  async network(number: number, ...options: readonly string[]): Promise<string> {
    const name = `net${String(number)}`;
    const pools = ['--subnet', `10.199.${String(number)}.0/24`, '--ipv6', '--subnet', `fd00:${String(number)}::/64`];
    await this.engine.dockerOk('network', 'create', ...pools, ...options, name);
    return name;
  }

  async container(name: string, network: string, ...options: readonly string[]): Promise<Container> {
    await this.engine.dockerOk(
      'run',
      '-d',
      '--name',
      name,
      '--network',
      network,
      ...options,
      'busybox',
      'sleep',
      '600',
    );
    const [{ NetworkSettings }] = JSON.parse(await this.engine.dockerOk('inspect', name)) as [
      { NetworkSettings: { SandboxKey: NetnsPath; Networks: Record<string, Record<string, string>> } },
    ];
    const endpoint = NetworkSettings.Networks[network] ?? {};
    const netns = NetworkSettings.SandboxKey;
    return {
      netns,
      ipv4: endpoint['IPAddress'] ?? '',
      ipv6: endpoint['GlobalIPv6Address'] ?? '',
      server: await this.lab.serve(netns, 80),
    };
  }

  /** What a caller is told, or the word for its silence. */
  async ask(
    from: LabHost | NetnsPath,
    address: string,
    port: number,
    { protocol = 'tcp', limitMs = ANSWER_MS }: Question = {},
  ): Promise<string> {
    const answer: LabAnswer = await this.lab.ask(from, address, port, { protocol, limitMs });
    return answer.text ?? answer.error ?? '';
  }

  /** Several questions at once, by name. */
  async askAll(questions: Readonly<Record<string, Parameters<FirewallLab['ask']>>>): Promise<Record<string, string>> {
    const answers = Object.entries(questions).map(
      async ([name, question]) => [name, await this.ask(...question)] as const,
    );
    return Object.fromEntries(await Promise.all(answers));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // `sleep` as the first process hears no SIGTERM: the engine would wait for it.
    await this.engine.removeContainers().catch(() => undefined);
    await this.engine[Symbol.asyncDispose]();
    await this.lab[Symbol.asyncDispose]();
  }
}

/** Sends a datagram every 50 ms from one port, and counts the answers. */
class PersistentCaller implements Disposable {
  answers = 0;
  readonly #child: ChildProcess;

  constructor(netns: string, address: string, port: number) {
    const program = `
      const socket = require('node:dgram').createSocket('udp4');
      socket.on('message', () => console.log('.'));
      socket.bind(40000, () => setInterval(() => socket.send('?', ${String(port)}, '${address}'), 50));`;
    this.#child = spawn('nsenter', [`--net=${netns}`, NODE, '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child.stdout?.on('data', () => (this.answers += 1));
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL');
  }
}

/** What packets may do under every packet filter: asked from outside and inside, with both families. */
export function packetContract(backend: 'nftables' | 'iptables'): void {
  describe(`packets under ${backend}`, () => {
    let room: FirewallLab;
    let web: Container;
    let other: Container;

    beforeAll(async () => {
      room = await FirewallLab.open('--firewall-backend', backend);
      const first = await room.network(1);
      const second = await room.network(2);
      const ports = ['8080:80', '8080:80/udp', '127.0.0.1:8081:80', `${host.ipv4}:8082:80`, '7000-7019:7000-7019'];
      web = await room.container('web', first, ...ports.flatMap((port) => ['-p', port]));
      other = await room.container('other', second);
      await room.container('beside', first);
      await room.lab.serve(web.netns, 7013);
      await room.lab.serve('client', 9000);
    });

    afterAll(async () => room[Symbol.asyncDispose]());

    const inside = async (name: string): Promise<NetnsPath> =>
      (await room.engine.dockerOk('inspect', '-f', '{{.NetworkSettings.SandboxKey}}', name)) as NetnsPath;

    it('come in by published ports, with their source', async () => {
      expect(
        await room.askAll({
          'tcp of IPv4': ['client', host.ipv4, 8080],
          'tcp of IPv6': ['client', host.ipv6, 8080],
          'udp of IPv4': ['neighbour', host.ipv4, 8080, UDP],
          'udp of IPv6': ['neighbour', host.ipv6, 8080, UDP],
          'of a range': ['client', host.ipv4, 7013],
          'at one address': ['client', host.ipv4, 8082],
          'not published': ['client', host.ipv4, 7020],
        }),
      ).toEqual({
        'tcp of IPv4': client.ipv4,
        'tcp of IPv6': client.ipv6,
        'udp of IPv4': neighbour.ipv4,
        'udp of IPv6': neighbour.ipv6,
        'of a range': client.ipv4,
        'at one address': client.ipv4,
        'not published': 'ECONNREFUSED',
      });
    });

    it('do not come to container addresses from elsewhere', async () => {
      expect(
        await room.askAll({
          'the router, IPv4': ['router', web.ipv4, 80, SILENT],
          'the router, IPv6': ['router', web.ipv6, 80, SILENT],
          'the neighbour, IPv4': ['neighbour', web.ipv4, 80, SILENT],
          'the neighbour, IPv6': ['neighbour', web.ipv6, 80, SILENT],
          'another network, IPv4': [other.netns, web.ipv4, 80, SILENT],
          'another network, IPv6': [other.netns, web.ipv6, 80, SILENT],
        }),
      ).toEqual({
        'the router, IPv4': 'timeout',
        'the router, IPv6': 'timeout',
        'the neighbour, IPv4': 'timeout',
        'the neighbour, IPv6': 'timeout',
        'another network, IPv4': 'timeout',
        'another network, IPv6': 'timeout',
      });
    });

    it('come to container addresses from this host and neighbours on the network', async () => {
      const beside = await inside('beside');
      const answers = await room.askAll({
        'the host, IPv4': ['host', web.ipv4, 80],
        'the host, IPv6': ['host', web.ipv6, 80],
        'beside, IPv4': [beside, web.ipv4, 80],
        'beside, IPv6': [beside, web.ipv6, 80],
      });
      expect(answers).toEqual({
        'the host, IPv4': '10.199.1.1',
        'the host, IPv6': 'fd00:1::1',
        'beside, IPv4': expect.stringMatching(/^10\.199\.1\./) as string,
        'beside, IPv6': expect.stringMatching(/^fd00:1::/) as string,
      });
    });

    it('of ports on 127.0.0.1 come from this host alone, however they are addressed', async () => {
      await room.lab.ok('neighbour', 'ip', 'route', 'add', '127.0.0.1/32', 'via', host.ipv4, 'table', '7');
      await room.lab.ok('neighbour', 'sysctl', '-qw', 'net.ipv4.conf.all.route_localnet=1');
      // The neighbour has no loopback address of its own any more: it speaks to the host's.
      await room.lab.ok('neighbour', 'ip', 'rule', 'add', 'pref', '1', 'to', '127.0.0.1', 'lookup', '7');
      await room.lab.ok('neighbour', 'ip', 'rule', 'add', 'pref', '2', 'lookup', 'local');
      await room.lab.ok('neighbour', 'ip', 'rule', 'del', 'pref', '0');
      expect(
        await room.askAll({
          here: ['host', '127.0.0.1', 8081],
          'at the address': ['client', host.ipv4, 8081],
          forged: ['neighbour', '127.0.0.1', 8081, SILENT],
        }),
      ).toMatchObject({
        here: expect.stringMatching(/^10\.199\.1\.1$/) as string,
        'at the address': 'ECONNREFUSED',
        forged: 'timeout',
      });
      // Not even where somebody lets loopback addresses in by the wire.
      await room.lab.ok('host', 'sysctl', '-qw', 'net.ipv4.conf.eth0.route_localnet=1');
      expect(await room.ask('neighbour', '127.0.0.1', 8081, SILENT)).toBe('timeout');
      await room.lab.ok('host', 'sysctl', '-qw', 'net.ipv4.conf.eth0.route_localnet=0');
      await room.lab.ok('neighbour', 'ip', 'rule', 'add', 'pref', '0', 'lookup', 'local');
      await room.lab.ok('neighbour', 'ip', 'rule', 'del', 'pref', '1');
    });

    it('of this host come to published ports by every address of its own', async () => {
      expect(
        await room.askAll({
          'IPv4 loopback': ['host', '127.0.0.1', 8080],
          'IPv4 address': ['host', host.ipv4, 8080],
          'IPv6 loopback': ['host', '::1', 8080],
          'IPv6 address': ['host', host.ipv6, 8080],
        }),
      ).toEqual({
        'IPv4 loopback': expect.stringMatching(/^10\.199\.1\./) as string,
        'IPv4 address': expect.stringMatching(/^(10\.199\.1\.1|198\.51\.100\.10)$/) as string,
        // By the proxy: the kernel would take no answer for it from a link.
        'IPv6 loopback': 'fd00:1::1',
        'IPv6 address': expect.stringMatching(/^(fd00:1::1|2001:db8:2::10)$/) as string,
      });
    });

    it('of containers come to published ports, their own and others, by the host', async () => {
      const beside = await inside('beside');
      const answers = await room.askAll({
        'its own, IPv4': [web.netns, host.ipv4, 8080],
        'its own, IPv6': [web.netns, host.ipv6, 8080],
        'beside, IPv4': [beside, host.ipv4, 8080],
        'beside, IPv6': [beside, host.ipv6, 8080],
        'another network, IPv4': [other.netns, host.ipv4, 8080],
        'another network, IPv6': [other.netns, host.ipv6, 8080],
        'another network, by the bridge': [other.netns, '10.199.2.1', 8080],
      });
      const refusals = Object.entries(answers).filter(([, answer]) => !/[.:]/.test(answer));
      expect(refusals).toEqual([]);
      if (backend === 'nftables') {
        expect(answers['another network, IPv4']).toBe(other.ipv4);
        expect(answers['another network, IPv6']).toBe(other.ipv6);
      }
    });

    it('leave for the world as the host', async () => {
      expect(
        await room.askAll({
          IPv4: [web.netns, client.ipv4, 9000],
          IPv6: [web.netns, client.ipv6, 9000],
        }),
      ).toEqual({ IPv4: host.ipv4, IPv6: host.ipv6 });
    });

    it('neither leave nor enter an internal network', async () => {
      const internal = await room.network(3, '--internal');
      const hidden = await room.container('hidden', internal);
      await room.lab.ok(hidden.netns, 'ip', 'route', 'replace', 'default', 'via', '10.199.3.1');
      await room.lab.serve('host', 9001);
      expect(
        await room.askAll({
          'to the world': [hidden.netns, client.ipv4, 9000, SILENT],
          'to another network': [hidden.netns, web.ipv4, 80, SILENT],
          'to a published port': [hidden.netns, host.ipv4, 8080, SILENT],
          'from the router': ['router', hidden.ipv4, 80, SILENT],
          'from another network': [other.netns, hidden.ipv4, 80, SILENT],
          'from the host': ['host', hidden.ipv4, 80],
          'from the host, IPv6': ['host', hidden.ipv6, 80],
          'to the host': [hidden.netns, '10.199.3.1', 9001],
        }),
      ).toEqual({
        'to the world': 'timeout',
        'to another network': 'timeout',
        'to a published port': 'timeout',
        'from the router': 'timeout',
        'from another network': 'timeout',
        'from the host': '10.199.3.1',
        'from the host, IPv6': 'fd00:3::1',
        'to the host': hidden.ipv4,
      });
    });

    it('do not pass between containers without inter-container communication, but by published ports', async () => {
      const apart = await room.network(4, '-o', 'com.docker.network.bridge.enable_icc=false');
      const one = await room.container('one', apart, '-p', '8090:80');
      const two = await room.container('two', apart);
      expect(
        await room.askAll({
          IPv4: [two.netns, one.ipv4, 80, SILENT],
          IPv6: [two.netns, one.ipv6, 80, SILENT],
          published: [two.netns, host.ipv4, 8090],
          'from the host': ['host', one.ipv4, 80],
          'to the world': [two.netns, client.ipv4, 9000],
        }),
      ).toEqual({
        IPv4: expect.stringMatching(/timeout|EHOSTUNREACH/) as string,
        IPv6: expect.stringMatching(/timeout|EHOSTUNREACH/) as string,
        published: expect.stringMatching(/^10\.199\.4\./) as string,
        'from the host': '10.199.4.1',
        'to the world': host.ipv4,
      });
    });

    it('come to a routed network directly, on published ports', async () => {
      const modes = ['ipv4', 'ipv6'].flatMap((family) => [
        '-o',
        `com.docker.network.bridge.gateway_mode_${family}=routed`,
      ]);
      const routed = await room.network(5, ...modes);
      const server = await room.container('routed', routed, '-p', '80');
      await room.lab.serve(server.netns, 81);
      expect(
        await room.askAll({
          'published, IPv4': ['router', server.ipv4, 80],
          'published, IPv6': ['router', server.ipv6, 80],
          'not published': ['router', server.ipv4, 81, SILENT],
          'from another network': [other.netns, server.ipv4, 80],
        }),
      ).toEqual({
        'published, IPv4': '198.51.100.1',
        'published, IPv6': '2001:db8:2::1',
        'not published': 'timeout',
        'from another network': expect.stringMatching(/^10\.199\.(2|5)\./) as string,
      });
      // Without translation: the way back is by the router's route.
      await room.lab.ok('router', 'busybox', 'ping', '-c', '1', '-W', '1', server.ipv4);
    });

    it('come to unprotected and trusted networks directly', async () => {
      const open = await room.network(6, '-o', 'com.docker.network.bridge.gateway_mode_ipv4=nat-unprotected');
      const trusting = await room.network(7, '-o', 'com.docker.network.bridge.trusted_host_interfaces=eth0');
      const server = await room.container('open', open);
      const trusted = await room.container('trusting', trusting, '-p', '8097:80');
      await room.lab.serve(trusted.netns, 81);
      expect(
        await room.askAll({
          unprotected: ['router', server.ipv4, 80],
          'unprotected, the other family': ['router', server.ipv6, 80, SILENT],
          'trusted, published': ['router', trusted.ipv4, 80],
          'trusted, not published': ['router', trusted.ipv4, 81, SILENT],
        }),
      ).toEqual({
        unprotected: '198.51.100.1',
        'unprotected, the other family': 'timeout',
        'trusted, published': '198.51.100.1',
        'trusted, not published': 'timeout',
      });
    });

    it('are not passed on between others because of us', async () => {
      // The host was no router before: its neighbour must not get through it to a network behind.
      await room.lab.ok('neighbour', 'ip', 'route', 'replace', `${client.ipv4}/32`, 'via', host.ipv4);
      await room.lab.ok(
        'host',
        'sysctl',
        '-qw',
        'net.ipv4.conf.all.send_redirects=0',
        'net.ipv4.conf.eth0.send_redirects=0',
      );
      expect(await room.ask('neighbour', client.ipv4, 9000, SILENT)).toBe('timeout');
      await room.lab.ok('neighbour', 'ip', 'route', 'del', `${client.ipv4}/32`);
      expect(await room.ask('neighbour', client.ipv4, 9000)).toBe(neighbour.ipv4);
    });

    it('of a client by UDP that never falls silent go to whichever container is there', async () => {
      const first = await room.container('first', 'net1', '-p', '8085:80/udp');
      using caller = new PersistentCaller(room.lab.netns('client'), host.ipv4, 8085);
      await until(() => caller.answers > 0);
      await room.engine.dockerOk('rm', '-f', 'first');
      // It stands in for the container's own, which would have ended with it.
      first.server[Symbol.dispose]();
      const second = await room.container('second', 'net2', '-p', '8085:80/udp');
      expect(second.ipv4).not.toBe(first.ipv4);
      const before = caller.answers;
      await until(() => caller.answers > before);
    });

    it('come to a port no more once it is not published, and again to its next container', async () => {
      await room.engine.dockerOk('rm', '-f', 'web');
      expect(await room.ask('client', host.ipv4, 8080)).toBe('ECONNREFUSED');
      await room.container('next', 'net2', '-p', '8080:80');
      expect(await room.ask('client', host.ipv4, 8080)).toBe(client.ipv4);
    });
  });
}
