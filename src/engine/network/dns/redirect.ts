/**
 * Port 53 of 127.0.0.11 inside a sandbox leads to the port where the name server listens, so that a server of the
 * container's own can have port 53 of all addresses.
 *
 * Port numbers are rewritten on their way, without connection tracking: neither costs the container's other traffic
 * anything, nor does the kernel need NAT. A question is rewritten before connection tracking would see it and its answer
 * after it has, so that rules of the container's own see one connection.
 */
import { KernelError } from '../../kernel/kernel.ts';
import type { NftCalls } from '../../kernel/kernel.ts';

/** Where containers ask. */
export const SERVICE_ADDRESS = '127.0.0.11';
export const SERVICE_PORT = 53;

const TABLE = 'ip moored-names';

/** Sets the redirection to `port` in the namespace the thread is in; one that is as it ought to be stays. */
export function redirectTo(nft: NftCalls, port: number): void {
  const definition = tableLeadingTo(port);
  try {
    nft.run(`create table ${TABLE}\n${definition}`);
  } catch (error) {
    if (!(error instanceof KernelError) || error.code !== 'EEXIST') throw error;
    // Left by the daemon's last run. Taking rules away costs milliseconds (see nft.ts), looking at them does not.
    if (leadsTo(nft.list(`list table ${TABLE}`), port)) return;
    nft.run(`delete table ${TABLE}\nadd table ${TABLE}\n${definition}`);
  }
}

function tableLeadingTo(port: number): string {
  const lines = [
    `add chain ${TABLE} questions { type filter hook output priority -400; }`,
    `add chain ${TABLE} answers { type filter hook postrouting priority 400; }`,
    ...['udp', 'tcp'].flatMap((protocol) => [
      `add rule ${TABLE} questions ip daddr ${SERVICE_ADDRESS} ${protocol} dport ${String(SERVICE_PORT)} ` +
        `${protocol} dport set ${String(port)}`,
      `add rule ${TABLE} answers ip saddr ${SERVICE_ADDRESS} ${protocol} sport ${String(port)} ` +
        `${protocol} sport set ${String(SERVICE_PORT)}`,
    ]),
  ];
  return lines.join('\n');
}

/** libnftables writes `{"mangle": {"key": …, "value": PORT}}` for what is set. */
function leadsTo(table: unknown, port: number): boolean {
  const text = JSON.stringify(table);
  const set = [...text.matchAll(/"value":(\d+)/g)].map(([, value]) => Number(value));
  return set.filter((value) => value === port).length === 2 && set.length === 4;
}
