/**
 * The text of our table, in nft's own language. Pure.
 *
 * Family `ip`, not `inet`: NAT in `inet` tables needs Linux 5.2, and containers have IPv4 addresses only.
 *
 *     map published_on  protocol . host address . host port → container address . port    `-p 127.0.0.1:8080:80`
 *     map published     protocol . host port → container address . port                   `-p 8080:80`
 *     prerouting, output   DNAT of what is addressed to this host, by the two maps
 *     postrouting          masquerade: out of the bridge to the world; and into it, where the answer would not come back
 *     forward              into a bridge: answers, what was DNATed, its own containers; nothing else
 *     guard                127.0.0.0/8 arriving from a bridge is dropped (see {@link guardRules})
 *
 * A published port is one map element: adding it takes the same 0.06 ms with one port or with thousands.
 */
import type { FirewallNetwork, FirewallState } from '../../driver.ts';
import type { PublishedPort } from '../../types.ts';

/** Host address that stands for all of them. */
const ANY_ADDRESS = '0.0.0.0';

/** Replaces the whole table in one transaction, whether there was one or not. */
export function replaceTable(table: string, { networks, ports }: FirewallState): string {
  return `${dropTable(table)}
table ip ${table} {
  map published_on { type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service; ${elements(ports, 'published_on')} }
  map published { type inet_proto . inet_service : ipv4_addr . inet_service; ${elements(ports, 'published')} }
  chain guard { type filter hook prerouting priority -300; policy accept;
    ${lines(networks.map(guardRules))}
  }
  chain prerouting { type nat hook prerouting priority -100; policy accept;
    ip daddr != 127.0.0.0/8 fib daddr type local jump dnat_published
  }
  chain output { type nat hook output priority -100; policy accept;
    fib daddr type local jump dnat_published
  }
  chain dnat_published {
    meta l4proto { tcp, udp, sctp } dnat ip to meta l4proto . ip daddr . th dport map @published_on
    meta l4proto { tcp, udp, sctp } dnat ip to meta l4proto . th dport map @published
  }
  chain postrouting { type nat hook postrouting priority 100; policy accept;
    ${lines(networks.map(postroutingRules))}
  }
  ${lines(networks.map(intoBridgeChain))}
  chain forward { type filter hook forward priority 0; policy accept;
    ${lines(networks.map(forwardRules))}
  }
}
`;
}

/** Takes the table away; fails neither when it is there nor when it is not. */
export function dropTable(table: string): string {
  return `table ip ${table}
delete table ip ${table}`;
}

/** Adds or deletes one element for each port; one transaction. */
export function changePorts(table: string, verb: 'add' | 'delete', ports: readonly PublishedPort[]): string {
  return ports
    .map((port) => {
      const element = verb === 'add' ? `${keyOf(port)} : ${targetOf(port)}` : keyOf(port);
      return `${verb} element ip ${table} ${mapOf(port)} { ${element} }`;
    })
    .join('\n');
}

/**
 * `route_localnet` on the bridge lets 127.0.0.1:8080 of the host reach a container; it would also let containers reach
 * services that listen on the host's 127.0.0.1 only. Answers to the former arrive under the bridge's own address
 * (they were masqueraded), so everything for 127.0.0.0/8 that comes out of a bridge is the latter.
 */
function guardRules({ bridgeName }: FirewallNetwork): string {
  return `iifname "${bridgeName}" ip daddr 127.0.0.0/8 drop`;
}

function postroutingRules({ bridgeName, ipv4Subnet, masquerade }: FirewallNetwork): string {
  if (ipv4Subnet === null) return '';
  return lines([
    // A container cannot answer 127.0.0.1.
    `oifname "${bridgeName}" ip saddr 127.0.0.0/8 masquerade`,
    // A neighbour (or the container itself) that used a published port must get its answer through us, not directly.
    `oifname "${bridgeName}" ip saddr ${ipv4Subnet} ct status dnat masquerade`,
    masquerade ? `oifname != "${bridgeName}" ip saddr ${ipv4Subnet} masquerade` : '',
  ]);
}

function intoBridgeChain({ bridgeName, interContainer, internal }: FirewallNetwork): string {
  return `chain into-${bridgeName} {
    ct state established,related accept
    ${internal ? '' : 'ct status dnat accept'}
    ${interContainer ? `iifname "${bridgeName}" accept` : ''}
    drop
  }`;
}

function forwardRules({ bridgeName, internal }: FirewallNetwork): string {
  return lines([
    `oifname "${bridgeName}" jump into-${bridgeName}`,
    internal ? `iifname "${bridgeName}" oifname != "${bridgeName}" drop` : '',
  ]);
}

function elements(ports: readonly PublishedPort[], map: string): string {
  const own = ports.filter((port) => mapOf(port) === map).map((port) => `${keyOf(port)} : ${targetOf(port)}`);
  return own.length === 0 ? '' : `elements = { ${own.join(', ')} }`;
}

function mapOf({ hostIp }: PublishedPort): 'published' | 'published_on' {
  return hostIp === ANY_ADDRESS ? 'published' : 'published_on';
}

function keyOf({ container, hostIp, hostPort }: PublishedPort): string {
  const address = hostIp === ANY_ADDRESS ? [] : [hostIp];
  return [container.protocol, ...address, String(hostPort)].join(' . ');
}

function targetOf({ container, endpointIpAddress }: PublishedPort): string {
  return `${endpointIpAddress} . ${String(container.port)}`;
}

function lines(texts: readonly string[]): string {
  return texts.filter((text) => text !== '').join('\n    ');
}
