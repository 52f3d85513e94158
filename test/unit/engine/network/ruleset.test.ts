import { describe, expect, it } from 'vitest';
import { changePorts, dropTable, replaceTable } from '../../../../src/engine/network/firewall/nftables/ruleset.ts';
import { NftablesFirewall } from '../../../../src/engine/network/firewall/nftables/driver.ts';
import type { FirewallNetwork } from '../../../../src/engine/network/driver.ts';
import type { PublishedPort } from '../../../../src/engine/network/types.ts';

const network: FirewallNetwork = {
  bridgeName: 'x0',
  ipv4Subnet: '10.0.0.0/24',
  ipv6Subnet: null,
  masquerade: true,
  interContainer: true,
  internal: false,
};
const port = (hostIp: string, hostPort: number): PublishedPort => ({
  container: { port: 80, protocol: 'tcp' },
  hostIp,
  hostPort,
  endpointIpAddress: '10.0.0.2',
});

/** The rules of one chain, without indentation. */
function chain(text: string, name: string): readonly string[] {
  const body = new RegExp(`chain ${name} \\{([^}]*(?:\\{[^}]*\\}[^}]*)*)\\}`).exec(text)?.[1] ?? '';
  return body
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('type '));
}

describe('the table', () => {
  it('leads published ports in by two maps', () => {
    const text = replaceTable('t', { networks: [network], ports: [port('0.0.0.0', 8080), port('127.0.0.1', 81)] });
    expect(text).toContain(
      'map published { type inet_proto . inet_service : ipv4_addr . inet_service; elements = { tcp . 8080 : 10.0.0.2 . 80 } }',
    );
    expect(text).toContain('elements = { tcp . 127.0.0.1 . 81 : 10.0.0.2 . 80 } }');
    expect(chain(text, 'into-x0')).toEqual([
      'ct state established,related accept',
      'ct status dnat accept',
      'iifname "x0" accept',
      'drop',
    ]);
    expect(chain(text, 'postrouting')).toContain('oifname != "x0" ip saddr 10.0.0.0/24 masquerade');
    expect(chain(text, 'guard')).toEqual(['iifname "x0" ip daddr 127.0.0.0/8 drop']);
  });

  it('obeys --icc=false, --ip-masq=false and internal networks', () => {
    const strict = replaceTable('t', {
      networks: [{ ...network, interContainer: false, masquerade: false, internal: true }],
      ports: [],
    });
    expect(chain(strict, 'into-x0')).toEqual(['ct state established,related accept', 'drop']);
    expect(chain(strict, 'postrouting').join()).not.toContain('oifname != "x0"');
    expect(chain(strict, 'forward')).toContain('iifname "x0" oifname != "x0" drop');
  });

  it('changes one element a port', () => {
    const ports = [port('0.0.0.0', 8080), port('192.0.2.1', 81)];
    expect(changePorts('t', 'add', ports).split('\n')).toEqual([
      'add element ip t published { tcp . 8080 : 10.0.0.2 . 80 }',
      'add element ip t published_on { tcp . 192.0.2.1 . 81 : 10.0.0.2 . 80 }',
    ]);
    expect(changePorts('t', 'delete', ports)).toContain('delete element ip t published { tcp . 8080 }');
  });
});

describe('the nftables driver', () => {
  function driver(failing: (script: string) => boolean = () => false) {
    const scripts: string[] = [];
    const firewall = new NftablesFirewall(
      {
        run: (script) => {
          scripts.push(script);
          if (failing(script)) throw new Error('No such file or directory');
        },
        list: () => ({}),
      },
      'moored-x0',
    );
    return { firewall, scripts };
  }

  it('puts the whole table right when an element cannot be changed', async () => {
    const { firewall, scripts } = driver((script) => script.startsWith('add element'));
    await firewall.initialise({ networks: [network], ports: [port('0.0.0.0', 1)] });
    await firewall.publish('x0', [port('0.0.0.0', 2)]);
    expect(scripts.at(-1)).toBe(
      replaceTable('moored-x0', { networks: [network], ports: [port('0.0.0.0', 1), port('0.0.0.0', 2)] }),
    );
  });

  it('forgets ports that could not be published, and asks nothing for ports it does not have', async () => {
    let broken = false;
    const { firewall, scripts } = driver(() => broken);
    await firewall.initialise({ networks: [], ports: [] });
    broken = true;
    await expect(firewall.publish('x0', [port('0.0.0.0', 2)])).rejects.toThrow('No such file');
    broken = false;
    const before = scripts.length;
    await firewall.unpublish('x0', [port('0.0.0.0', 2)]);
    expect(scripts).toHaveLength(before);
  });

  it('says what to do where nftables is missing', async () => {
    const { firewall } = driver(() => true);
    await expect(firewall.initialise({ networks: [], ports: [] })).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringContaining('--iptables=false') as string,
    });
  });

  it('takes no table name that would be something else in nft', () => {
    expect(() => new NftablesFirewall({ run: () => undefined, list: () => ({}) }, 'x; flush ruleset')).toThrow(
      'invalid name',
    );
  });

  it('removes its table alone', async () => {
    const { firewall, scripts } = driver();
    await firewall.tearDown();
    expect(scripts).toEqual([dropTable('moored-x0')]);
  });
});
