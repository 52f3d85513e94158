import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../../support/engine.ts';
import { LAB_ADDRESS } from '../../support/network-lab.ts';
import { FirewallLab, SILENT, UDP } from './firewall-packets.ts';
import type { Container } from './firewall-packets.ts';

const { client, host, neighbour } = LAB_ADDRESS;
const NODE = new URL('../../../bin/node', import.meta.url).pathname;
const MEBIBYTES = 48;
const SILENT_UDP = { ...SILENT, ...UDP };

/** Sends so many mebibytes to whoever calls, with pauses. */
const SENDER = `
require('node:net').createServer({ allowHalfOpen: true }, (s) => {
  let left = ${String(MEBIBYTES)};
  s.on('error', () => {});
  const next = () => (left-- > 0 ? s.write(Buffer.alloc(1 << 20), () => setTimeout(next, 10)) : s.end());
  next();
}).listen(88, () => console.log('ready'));`;

/** Default deny, as hosts have it that are on the open net. */
const NFT_DENY = `table inet host {
  chain input { type filter hook input priority 0; policy drop;
    ct state established,related accept
    iifname "lo" accept
    meta l4proto ipv6-icmp accept
  }
}
`;

describe('a host with rules of its own', () => {
  let room: FirewallLab;
  let web: Container;
  let open: Container;

  beforeAll(async () => {
    room = await FirewallLab.open('--publish-policy', 'respect');
    web = await room.container('web', await room.network(1), '-p', '8080:80', '-p', '8080:80/udp', '-p', '8088:88');
    const label = 'org.moored.network.publish-policy=open';
    open = await room.container('open', await room.network(2, '--label', label), '-p', '8090:80', '-p', '8098:88');
    // Strict everywhere, as hardening guides want it.
    await room.lab.ok('host', 'sysctl', '-qw', 'net.ipv4.conf.all.rp_filter=1');
  });

  afterAll(async () => room[Symbol.asyncDispose]());

  afterEach(async () => {
    await room.lab.ok(
      'host',
      'sh',
      '-c',
      'nft delete table inet host 2>/dev/null; iptables -P INPUT ACCEPT; iptables -F',
    );
  });

  const nft = async (rules: string): Promise<void> => {
    await room.lab.ok('host', 'sh', '-c', `nft -f - <<'END'\n${rules}\nEND`);
  };

  it('lets everybody in to published ports when it lets everybody in', async () => {
    expect(
      await room.askAll({
        'tcp of IPv4': ['client', host.ipv4, 8080],
        'tcp of IPv6': ['client', host.ipv6, 8080],
        'udp of IPv4': ['neighbour', host.ipv4, 8080, UDP],
        'udp of IPv6': ['neighbour', host.ipv6, 8080, UDP],
        'the other network': ['client', host.ipv4, 8090],
        'this host': ['host', '127.0.0.1', 8080],
        'another container': [open.netns, host.ipv4, 8080],
        'its own container': [web.netns, host.ipv4, 8080],
      }),
    ).toEqual({
      'tcp of IPv4': client.ipv4,
      'tcp of IPv6': client.ipv6,
      'udp of IPv4': neighbour.ipv4,
      'udp of IPv6': neighbour.ipv6,
      'the other network': client.ipv4,
      'this host': '10.199.1.1',
      'another container': open.ipv4,
      'its own container': '10.199.1.1',
    });
  });

  it('keeps those out that it would keep out, from the next connection on', async () => {
    await nft(NFT_DENY);
    expect(
      await room.askAll({
        'tcp of IPv4': ['client', host.ipv4, 8080, SILENT],
        'tcp of IPv6': ['client', host.ipv6, 8080, SILENT],
        'udp of IPv4': ['neighbour', host.ipv4, 8080, SILENT_UDP],
        'the open network': ['client', host.ipv4, 8090],
        'this host': ['host', '127.0.0.1', 8080],
      }),
    ).toEqual({
      'tcp of IPv4': 'timeout',
      'tcp of IPv6': 'timeout',
      'udp of IPv4': 'timeout',
      'the open network': client.ipv4,
      'this host': '10.199.1.1',
    });
    await nft(`add rule inet host input ip saddr ${client.ipv4} tcp dport 8080 accept`);
    expect(
      await room.askAll({
        'who may': ['client', host.ipv4, 8080],
        'who may not': ['neighbour', host.ipv4, 8080, SILENT],
      }),
    ).toEqual({ 'who may': client.ipv4, 'who may not': 'timeout' });
  });

  it('is obeyed whichever way it says so', async () => {
    await room.lab.ok('host', 'iptables', '-P', 'INPUT', 'DROP');
    await room.lab.ok(
      'host',
      'iptables',
      '-A',
      'INPUT',
      '-s',
      client.ipv4,
      '-p',
      'tcp',
      '--dport',
      '8080',
      '-j',
      'ACCEPT',
    );
    expect(
      await room.askAll({
        'who may': ['client', host.ipv4, 8080],
        'who may not': ['neighbour', host.ipv4, 8080, SILENT],
        'the other family': ['neighbour', host.ipv6, 8080],
      }),
    ).toEqual({ 'who may': client.ipv4, 'who may not': 'timeout', 'the other family': neighbour.ipv6 });
  });

  it('is told of when it drops what is forwarded, by docker info and the check', async () => {
    const warnings = async (): Promise<readonly string[]> =>
      ((await room.engine.api('GET', '/info')).json as { readonly Warnings: readonly string[] | null }).Warnings ?? [];
    await nft('table inet host { chain through { type filter hook forward priority 0; policy drop; }; }');
    expect(await room.ask('client', host.ipv4, 8090, SILENT)).toBe('timeout');
    const problem = `drops what is forwarded to and from ${room.engine.bridge}`;
    const { body } = await room.engine.api('POST', '/system/check');
    expect(body).toContain(`"subject":"inet host through","problem":"${problem}`);
    await until(async () => (await warnings()).some((text) => text.includes(`inet host through ${problem}`)));
    await nft(`flush table inet host\nadd rule inet host through accept`);
    expect(await room.ask('client', host.ipv4, 8090)).toBe(client.ipv4);
    expect((await room.engine.api('POST', '/system/check')).body).not.toContain('inet host through');
  });

  it('keeps published ports, and open connections, when all rules are flushed', async () => {
    for (const { netns } of [web, open]) await serve(netns);
    const downloads = [8088, 8098].map((port) => download(port));
    await until(async () => (await connections()).length === downloads.length);
    for (let flush = 0; flush < 3; flush++) {
      await room.lab.ok('host', 'nft', 'flush', 'ruleset');
      await rulesAreBack();
      expect(await room.ask('client', host.ipv4, 8090)).toBe(client.ipv4);
      await room.lab.ok('host', 'iptables', '-F');
    }
    expect(await Promise.all(downloads)).toEqual([MEBIBYTES << 20, MEBIBYTES << 20]);
    expect(room.engine.log()).toMatch(/another program changed the packet filter rules of the engine.*nft/);
    expect(await room.ask('client', host.ipv6, 8080)).toBe(client.ipv6);
  });

  it('answers who calls while all rules are flushed', async () => {
    let asked: Promise<Record<string, string>> | null = null;
    process.kill(room.engine.pid, 'SIGSTOP');
    try {
      await room.lab.ok('host', 'nft', 'flush', 'ruleset');
      asked = room.askAll({
        'tcp of IPv4': ['client', host.ipv4, 8090],
        'tcp of IPv6': ['client', host.ipv6, 8090],
        'udp of IPv4': ['neighbour', host.ipv4, 8080, UDP],
      });
      await until(async () => (await connections()).length === 2);
      await until(async () => /^UNCONN +[1-9]/m.test(await room.lab.ok('host', 'ss', '-Huln', 'sport', '=', ':8080')));
    } finally {
      process.kill(room.engine.pid, 'SIGCONT');
    }
    // By the proxy, as with dockerd's: nothing else can lead a connection that has been taken up here.
    expect(await asked).toEqual({
      'tcp of IPv4': '10.199.2.1',
      'tcp of IPv6': 'fd00:2::1',
      'udp of IPv4': '10.199.1.1',
    });
    await rulesAreBack();
    expect(await room.ask('client', host.ipv4, 8090)).toBe(client.ipv4);
  });

  const senders: ReturnType<typeof spawn>[] = [];
  afterAll(() => senders.forEach((sender) => sender.kill('SIGKILL')));

  async function serve(netns: string): Promise<void> {
    const sender = spawn('nsenter', [`--net=${netns}`, NODE, '-e', SENDER], { stdio: ['ignore', 'pipe', 'inherit'] });
    senders.push(sender);
    await once(sender.stdout, 'data');
  }

  async function download(port: number): Promise<number> {
    return Number(await room.lab.ok('client', 'sh', '-c', `busybox nc ${host.ipv4} ${String(port)} | wc -c`));
  }

  /** Those the client has; it may have said its last word already. */
  async function connections(): Promise<readonly string[]> {
    const printed = await room.lab.ok('client', 'ss', '-Htn', 'state', 'established', 'state', 'fin-wait-2');
    return printed.split('\n').filter((line) => line !== '');
  }

  async function rulesAreBack(): Promise<void> {
    const table = `ip moored-${room.engine.bridge}\n`;
    await until(async () => (await room.lab.ok('host', 'nft', 'list', 'tables')).includes(table));
  }
});
