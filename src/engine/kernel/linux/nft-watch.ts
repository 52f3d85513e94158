/** Who changes nftables, by netlink's multicast group NFNLGRP_NFTABLES. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { NftNotice } from '../kernel.ts';
import { NETLINK_NETFILTER, NFGENMSG_BYTES, NFTABLES_SUBSYSTEM } from './nfnetlink.ts';
import type { Message } from './netlink-codec.ts';
import { decodeAttributes, textOf } from './netlink-codec.ts';
import { watchNetlink } from './netlink-watch.ts';

/** 1 << (NFNLGRP_NFTABLES - 1) */
const NFTABLES_GROUP = 1 << 6;
/** Ends the messages of each transaction. */
const NFT_MSG_NEWGEN = 15;
const GEN_PROC_PID = 2;
const GEN_PROC_NAME = 3;
/** The table's name has the same number in tables, chains, rules, sets, elements, objects and flow tables. */
const OBJECT_TABLE = 1;
const FAMILIES: Readonly<Record<number, string>> = {
  1: 'inet',
  2: 'ip',
  3: 'arp',
  5: 'netdev',
  7: 'bridge',
  10: 'ip6',
};

/**
 * Puts the messages of a transaction together and passes on those of others: `isOwn` tells by the socket a change was made
 * through, because the process id that the kernel tells is that of its outermost pid namespace.
 */
export function watchNftables(
  isOwn: (port: number) => boolean,
  ownPorts: readonly number[],
  listener: (notice: NftNotice | null) => void,
): Disposable {
  const tables = new Set<string>();
  return watchNetlink(
    NETLINK_NETFILTER,
    NFTABLES_GROUP,
    (messages) => {
      if (messages === null) {
        tables.clear();
        listener(null);
        return;
      }
      for (const message of messages) {
        if (message.type >> 8 !== NFTABLES_SUBSYSTEM || isOwn(message.port)) continue;
        if ((message.type & 0xff) === NFT_MSG_NEWGEN) {
          listener({ tables: new Set(tables), process: processOf(message) });
          tables.clear();
        } else {
          tables.add(tableOf(message));
        }
      }
    },
    { exceptPorts: ownPorts },
  );
}

function tableOf({ body }: Message): string {
  const family = FAMILIES[body.readUInt8(0)] ?? String(body.readUInt8(0));
  return `${family} ${textOf(decodeAttributes(body.subarray(NFGENMSG_BYTES)).get(OBJECT_TABLE)) ?? ''}`;
}

function processOf({ body }: Message): NftNotice['process'] {
  const attributes = decodeAttributes(body.subarray(NFGENMSG_BYTES));
  const pid = attributes.get(GEN_PROC_PID);
  return pid === undefined ? null : { pid: pid.readUInt32BE(0), name: textOf(attributes.get(GEN_PROC_NAME)) ?? '' };
}

/**
 * The ports of this process's sockets of the netfilter protocol: those of libraries too, which do not tell theirs.
 * /proc/net/netlink: address · protocol · port · groups · … · inode.
 */
export function ownNetfilterPorts(): readonly number[] {
  const inodes = new Set(
    readdirSync('/proc/self/fd').map((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
      } catch {
        // It was closed meanwhile.
        return undefined;
      }
    }),
  );
  return readFileSync('/proc/thread-self/net/netlink', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => columns[1] === String(NETLINK_NETFILTER) && inodes.has(columns.at(-1)))
    .map((columns) => Number(columns[2]));
}
