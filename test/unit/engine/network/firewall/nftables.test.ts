import { describe, expect, it } from 'vitest';
import type { NftElement, NftElementChanges, NftNotice } from '../../../../../src/engine/kernel/kernel.ts';
import type { FirewallNetwork } from '../../../../../src/engine/network/driver.ts';
import { NftablesFirewall } from '../../../../../src/engine/network/firewall/nftables/driver.ts';
import type { NftablesOptions } from '../../../../../src/engine/network/firewall/nftables/driver.ts';
import { parseMark } from '../../../../../src/engine/network/firewall/nftables/mark.ts';
import type { PublishedPort } from '../../../../../src/engine/network/types.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';
import { RecordingLogger } from '../../../../support/recording-logger.ts';

const network: FirewallNetwork = {
  bridgeName: 'x0',
  ipv4Subnet: '10.0.0.0/24',
  ipv6Subnet: 'fd00::/64',
  masquerade: true,
  interContainer: true,
  internal: false,
};
const port = (hostPort: number, more: Partial<PublishedPort> = {}): PublishedPort => ({
  container: { port: 80, protocol: 'tcp' },
  hostIp: '0.0.0.0',
  hostPort,
  endpointIpAddress: '10.0.0.2',
  ...more,
});
const even = (first: number, count: number): PublishedPort[] =>
  Array.from({ length: count }, (_, index) =>
    port(first + index, { container: { port: first + index, protocol: 'tcp' } }),
  );

/** A driver on a kernel that writes down what it is told. */
function driver(options: Partial<NftablesOptions> = {}, failing: (script: string) => boolean = () => false) {
  const scripts: string[] = [];
  const holds: string[] = [];
  const changes: NftElementChanges[] = [];
  const turnstile: string[] = [];
  const listeners = new Set<(notice: NftNotice | null) => void>();
  const clock = new FakeClock();
  const logger = new RecordingLogger();
  let failingElements = false;
  const firewall = new NftablesFirewall(
    {
      nft: {
        run: (script) => {
          (script.includes('-hold') ? holds : scripts).push(script);
          if (failing(script)) throw new Error('No such file or directory');
        },
        list: () => ({}),
        changeElements: (_table, change) => {
          changes.push(change);
          if (failingElements) throw new Error('no such element');
        },
        watch: (listener) => {
          listeners.add(listener);
          return { [Symbol.dispose]: () => void listeners.delete(listener) };
        },
      },
      clock,
      logger,
      turnstile: { open: ({ into }) => void turnstile.push(`open ${into}`), close: () => void turnstile.push('close') },
    },
    { table: 'moored-x0', ...options },
  );
  return {
    firewall,
    scripts,
    holds,
    changes,
    turnstile,
    clock,
    logger,
    tell: (notice: NftNotice | null) => [...listeners].forEach((listener) => listener(notice)),
    listeners,
    failElements: (yes: boolean) => (failingElements = yes),
  };
}

/** The rules that were given to a chain, in the script of one table. */
function rules(script: string, table: string, chain: string): readonly string[] {
  const start = `add rule ${table} moored-x0 ${chain} `;
  return script
    .split('\n')
    .filter((line) => line.startsWith(start))
    .map((line) => line.slice(start.length));
}

const text = ({ set, key, lastPort, data }: NftElement): string => {
  const words = (fields: NftElement['key']): string => fields.map((field) => Object.values(field).join()).join(' . ');
  return `${set} ${words(key)}${lastPort === undefined ? '' : `-${String(lastPort)}`} → ${words(data ?? [])}`;
};

async function rulesWith(change: Partial<FirewallNetwork>, options: Partial<NftablesOptions> = {}): Promise<string> {
  const { firewall, scripts } = driver(options);
  await firewall.initialise({ networks: [{ ...network, ...change }], ports: [] });
  return scripts.at(-1) ?? '';
}

describe('the tables', () => {
  it('let answers, published ports and neighbours into a network', async () => {
    const script = await rulesWith({});
    for (const table of ['ip', 'ip6']) {
      expect(rules(script, table, 'into-x0')).toEqual([
        'ct state established,related accept',
        'ct status dnat accept',
        'iifname "x0" accept',
        'drop',
      ]);
      expect(rules(script, table, 'leave-x0').slice(1)).toEqual(['oifname @bridges accept', 'masquerade']);
      expect(rules(script, table, 'direct-x0').at(-1)).toBe('drop');
    }
    expect(script).toContain('add element ip6 moored-x0 leaving { fd00::/64 : goto leave-x0 }');
    expect(script).not.toContain('bridge moored-x0 {');
  });

  it('obey icc=false, ip-masq=false and internal networks', async () => {
    const strict = await rulesWith({ interContainer: false, masquerade: false, internal: true });
    expect(rules(strict, 'ip', 'into-x0')).toEqual(['iifname "x0" drop', 'drop']);
    expect(rules(strict, 'ip', 'leave-x0')).toEqual(['oifname "x0" ct status dnat masquerade']);
    expect(rules(strict, 'ip', 'out-x0')).toEqual(['oifname != "x0" drop']);
    expect(strict).toContain('meta iifgroup 1836019570 meta oifgroup 1836019570 drop');
  });

  it('let links through where containers are kept apart, in their own family', async () => {
    const links = [{ from: '10.0.0.3', to: '10.0.0.2', port: 80, protocol: 'tcp' }] as const;
    const script = await rulesWith({ interContainer: false, links });
    const into = rules(script, 'ip', 'into-x0');
    const open = into.indexOf('iifname "x0" ip saddr 10.0.0.3 ip daddr 10.0.0.2 tcp dport 80 accept');
    expect(open).toBeGreaterThan(0);
    expect(into[open + 1]).toBe('iifname "x0" drop');
    expect(rules(script, 'ip6', 'into-x0').join()).not.toContain('10.0.0.3');
    for (const rule of [
      'ether type arp arp saddr ip 10.0.0.2 arp daddr ip 10.0.0.3 accept',
      'ether type ip ip saddr 10.0.0.2 ip daddr 10.0.0.3 tcp sport 80 accept',
    ]) {
      expect(script).toContain(rule);
    }
    expect(await rulesWith({ links })).not.toContain('10.0.0.3');
  });

  it('keep internal networks in, by the family that they do not have as well', async () => {
    const ipv4 = await rulesWith({ internal: true, ipv6Subnet: null });
    expect(rules(ipv4, 'ip6', 'out-x0')).toEqual(['oifname != "x0" drop']);
    expect(rules(ipv4, 'ip6', 'into-x0')).toEqual(['iifname "x0" accept', 'drop']);
    expect(ipv4).not.toContain('add chain ip6 moored-x0 leave-x0');
    expect(await rulesWith({ ipv6Subnet: null })).not.toContain('add element ip6 moored-x0 bridges');
  });

  it('know the gateway modes', async () => {
    const routed = await rulesWith({ ipv4Mode: 'routed' });
    expect(rules(routed, 'ip', 'into-x0')).toContain('meta l4proto icmp accept');
    expect(rules(routed, 'ip', 'into-x0')).toContain('meta l4proto . ip daddr . th dport @reachable accept');
    expect(rules(routed, 'ip', 'leave-x0')).toHaveLength(1);
    expect(rules(routed, 'ip', 'direct-x0')).toEqual([]);
    expect(rules(routed, 'ip6', 'direct-x0')).toHaveLength(3);
    const unprotected = await rulesWith({ ipv4Mode: 'nat-unprotected' });
    expect(rules(unprotected, 'ip', 'into-x0').slice(-2)).toEqual(['accept', 'drop']);
    // Not for other networks' containers.
    expect(rules(unprotected, 'ip', 'into-x0').at(-3)).toBe('iifname @bridges drop');
    expect(rules(unprotected, 'ip', 'direct-x0')).toEqual([]);
  });

  it('take a given source, trusted interfaces, a mark and direct routing', async () => {
    const given = await rulesWith({ ipv4Source: '192.0.2.1', trustedInterfaces: ['eth1'] }, { acceptMark: '0x1/0x3' });
    expect(rules(given, 'ip', 'leave-x0')).toContain('snat to 192.0.2.1');
    expect(rules(given, 'ip6', 'leave-x0')).toContain('masquerade');
    expect(rules(given, 'ip', 'direct-x0')[0]).toBe('iifname { "x0", "eth1" } accept');
    expect(rules(given, 'ip', 'into-x0')).toContain('meta mark & 0x3 == 0x1 accept');
    const direct = await rulesWith({}, { directRouting: true });
    expect(direct).not.toContain('chain ip moored-x0 direct-x0');
    expect(rules(direct, 'ip', 'into-x0')).toContain('meta l4proto . ip daddr . th dport @reachable accept');
  });

  it('leave a family alone that is not theirs', async () => {
    expect(await rulesWith({}, { families: ['ipv4'] })).not.toContain('ip6');
    const apart = await rulesWith({ interContainer: false }, { families: ['ipv6'] });
    expect(apart).not.toMatch(/table ip moored/);
    expect(apart).toContain('ether type ip6 meta iifgroup');
  });

  it('close what others forward only where the engine has opened it', async () => {
    const { firewall, scripts } = driver();
    await firewall.initialise({ networks: [network], ports: [], closeForwarding: ['ipv6'] });
    const [ipv4 = '', ipv6 = ''] = (scripts.at(-1) ?? '').split('table ip6 moored-x0\ndelete');
    expect(ipv4).not.toContain('iifname @bridges accept');
    expect(ipv6).toContain('iifname @bridges accept');
  });

  it('read marks as dockerd does', () => {
    expect(parseMark('1')).toEqual({ mark: 1, mask: 0xffffffff });
    expect(parseMark('0x10/020')).toEqual({ mark: 16, mask: 16 });
    expect(parseMark('')).toBeNull();
    for (const bad of ['x', '1/2/3', '-1', '4294967296', '1/']) {
      expect(() => parseMark(bad)).toThrow(`invalid firewall mark "${bad}"`);
    }
  });
});

describe('published ports', () => {
  it('are an element each, or an interval where many go straight through', async () => {
    const { firewall, changes } = driver();
    await firewall.initialise({ networks: [network], ports: [] });
    await firewall.publish('x0', [port(8080), port(81, { hostIp: '127.0.0.1' }), ...even(9000, 5000)]);
    expect(changes.flatMap(({ add }) => add.map(text)).sort()).toEqual([
      'loopback_only tcp . 127.0.0.1 . 81 → ',
      'published tcp . 8080 → 10.0.0.2 . 80',
      'published_on tcp . 127.0.0.1 . 81 → 10.0.0.2 . 80',
      'published_tcp 9000-13999 → 10.0.0.2',
    ]);
  });

  it('split an interval when some of it goes, and put it together again', async () => {
    const { firewall, changes } = driver();
    await firewall.initialise({ networks: [network], ports: even(9000, 100) });
    await firewall.unpublish('x0', even(9040, 2));
    expect(changes.at(-1)?.remove.map(text)).toEqual(['published_tcp 9000-9099 → 10.0.0.2']);
    expect(changes.at(-1)?.add.map(text)).toEqual([
      'published_tcp 9000-9039 → 10.0.0.2',
      'published_tcp 9042-9099 → 10.0.0.2',
    ]);
    await firewall.publish('x0', even(9040, 2));
    expect(changes.at(-1)?.add.map(text)).toEqual(['published_tcp 9000-9099 → 10.0.0.2']);
  });

  it('are passed over when no filter can lead them, or the proxy does', async () => {
    const { firewall, changes } = driver();
    await firewall.initialise({ networks: [network], ports: [] });
    await firewall.publish('x0', [port(1, { hostIp: '::' }), port(2, { proxied: true })]);
    expect(changes).toEqual([]);
    await firewall.publish('x0', [port(3, { hostIp: '::', endpointIpAddress: 'fd00::2' })]);
    expect(changes[0]?.add.map(text)).toEqual(['published tcp . 3 → fd00::2 . 80']);
  });

  it('of a routed network are opened at the container, once for each port', async () => {
    const { firewall, changes } = driver();
    await firewall.initialise({ networks: [{ ...network, ipv4Mode: 'routed' }], ports: [] });
    await firewall.publish('x0', [port(0), port(8080)]);
    expect(changes[0]?.add.map(text)).toEqual(['reachable tcp . 10.0.0.2 . 80 → ']);
    await firewall.unpublish('x0', [port(0)]);
    expect(changes).toHaveLength(1);
    await firewall.unpublish('x0', [port(8080)]);
    expect(changes[1]?.remove).toHaveLength(1);
  });

  it('are in the tables from the start, each by its own network', async () => {
    const { firewall, scripts } = driver();
    const other = { ...network, bridgeName: 'y0', ipv4Subnet: '10.0.1.0/24', ipv4Mode: 'routed' as const };
    await firewall.initialise({
      networks: [network, other],
      ports: [port(1), port(0, { endpointIpAddress: '10.0.1.9' })],
    });
    expect(scripts.at(-1)).toContain('add element ip moored-x0 published { tcp . 1 : 10.0.0.2 . 80 }');
    expect(scripts.at(-1)).toContain('add element ip moored-x0 reachable { tcp . 10.0.1.9 . 80 }');
  });

  it('ask the host first where the network says so', async () => {
    const { firewall, scripts, changes, turnstile } = driver();
    await firewall.initialise({ networks: [network], ports: [] });
    expect(scripts.at(-1)).not.toContain('dup to');
    expect(turnstile).toEqual([]);
    await firewall.addNetwork({
      ...network,
      bridgeName: 'y0',
      ipv4Subnet: '10.0.1.0/24',
      ipv6Subnet: null,
      publishPolicy: 'respect',
    });
    expect(turnstile).toEqual([expect.stringMatching(/^open mti-[0-9a-f]{8}$/)]);
    expect(scripts.at(-1)).toMatch(/ct state new dup to 192\.0\.0\.8 device "mti-/);
    await firewall.publish('y0', [port(1, { endpointIpAddress: '10.0.1.2' })]);
    expect(changes[0]?.add.map(text)).toContain('asked tcp . 1 → ');
    await firewall.tearDown();
    expect(turnstile.at(-1)).toBe('close');
  });
});

describe('the nftables driver', () => {
  it('puts the whole table right when an element cannot be changed', async () => {
    const { firewall, scripts, failElements } = driver();
    await firewall.initialise({ networks: [network], ports: [port(1)] });
    failElements(true);
    await firewall.publish('x0', [port(2)]);
    expect(scripts.at(-1)).toContain('published { tcp . 1 : 10.0.0.2 . 80, tcp . 2 : 10.0.0.2 . 80 }');
  });

  it('forgets ports that could not be published, and asks nothing for ports it does not have', async () => {
    let broken = false;
    const { firewall, changes, failElements } = driver({}, () => broken);
    await firewall.initialise({ networks: [network], ports: [] });
    broken = true;
    failElements(true);
    await expect(firewall.publish('x0', [port(2)])).rejects.toThrow('No such file');
    broken = false;
    const before = changes.length;
    await firewall.unpublish('x0', [port(2)]);
    expect(changes).toHaveLength(before);
  });

  it('says nothing for a network that it has', async () => {
    const { firewall, scripts } = driver();
    await firewall.initialise({ networks: [network], ports: [] });
    const before = scripts.length;
    await firewall.addNetwork(network);
    expect(scripts).toHaveLength(before);
    await firewall.addNetwork({ ...network, internal: true });
    expect(scripts.at(-1)).toMatch(/^delete element ip moored-x0 bridges[^]*add chain ip moored-x0 out-x0/);
    await firewall.removeNetwork('x0');
    expect(scripts.at(-1)).toContain('delete chain ip6 moored-x0 out-x0');
  });

  it('holds the kernel to translating what is open, where tables can have an owner', async () => {
    const { firewall, holds } = driver();
    await firewall.initialise({ networks: [], ports: [] });
    await firewall.initialise({ networks: [], ports: [] });
    expect(holds.map((script) => script.split(' ').slice(0, 2).join(' '))).toEqual(['table ip', 'table ip6']);
    await firewall.tearDown();
    expect(holds.slice(2)).toEqual(['delete table ip moored-x0-hold', 'delete table ip6 moored-x0-hold']);
    const older = driver({}, (script) => script.includes('flags owner'));
    await older.firewall.initialise({ networks: [], ports: [] });
    await older.firewall.tearDown();
    expect(older.holds).toHaveLength(2);
  });

  it('says what to do where nftables is missing', async () => {
    const { firewall } = driver({}, () => true);
    await expect(firewall.initialise({ networks: [], ports: [] })).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringContaining('--iptables=false') as string,
    });
  });

  it('takes no table name that would be something else in nft', () => {
    expect(() => driver({ table: 'x; flush ruleset' })).toThrow('invalid name');
  });
});

describe('the keeper of the tables', () => {
  const foreign: NftNotice = { tables: new Set(['ip moored-x0']), process: { pid: 7, name: 'nft' } };

  it('puts them back at once, and says who took them', async () => {
    const { firewall, scripts, tell, logger } = driver();
    await firewall.initialise({ networks: [network], ports: [] });
    const before = scripts.length;
    tell({ tables: new Set(['ip filter']), process: null });
    expect(scripts).toHaveLength(before);
    tell(foreign);
    expect(scripts).toHaveLength(before + 1);
    expect(logger.lines.at(-1)).toMatchObject({ level: 'warn', fields: { program: 'nft', pid: 7 } });
  });

  it('does not fight at full speed, and forgets a fight', async () => {
    const { firewall, scripts, tell, clock } = driver();
    await firewall.initialise({ networks: [network], ports: [] });
    const before = scripts.length;
    tell(null);
    tell(foreign);
    tell(foreign);
    expect(scripts).toHaveLength(before + 1);
    await clock.advance(50);
    expect(scripts).toHaveLength(before + 2);
    tell(foreign);
    await clock.advance(50);
    expect(scripts).toHaveLength(before + 2);
    await clock.advance(50);
    expect(scripts).toHaveLength(before + 3);
    await clock.advance(2000);
    tell(foreign);
    expect(scripts).toHaveLength(before + 4);
  });

  it('goes on listening when it cannot, and stops when the tables are taken down', async () => {
    let broken = false;
    const { firewall, tell, logger, listeners } = driver({}, () => broken);
    await firewall.initialise({ networks: [network], ports: [] });
    broken = true;
    tell(foreign);
    expect(logger.lines.at(-1)).toMatchObject({ level: 'error' });
    expect(listeners.size).toBe(1);
    broken = false;
    await firewall.tearDown();
    expect(listeners.size).toBe(0);
  });
});
