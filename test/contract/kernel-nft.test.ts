import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NftElement, NftNotice } from '../../src/engine/kernel/kernel.ts';
import { createLinuxKernel } from '../../src/engine/kernel/linux/index.ts';

const TABLE = `moored-kn${String(process.pid)}`;
const isRoot = process.getuid?.() === 0;

describe.skipIf(!isRoot)(`nftables of the kernel${isRoot ? '' : ' (skipped: nftables needs root)'}`, () => {
  const { nft } = createLinuxKernel();
  const table = { family: 'ip', name: TABLE } as const;
  const listed = (): string => execFileSync('nft', ['list', 'table', 'ip', TABLE], { encoding: 'utf8' });
  const port = (number: number, target: number): NftElement => ({
    set: 'm',
    key: [{ protocol: 'udp' }, { port: number }],
    data: [{ address: '10.1.2.3' }, { port: target }],
  });
  const add = (...elements: NftElement[]): void => nft.changeElements(table, { remove: [], add: elements });
  const remove = (...elements: NftElement[]): void => nft.changeElements(table, { remove: elements, add: [] });

  beforeAll(() => {
    nft.run(`table ip ${TABLE} {
      map m { type inet_proto . inet_service : ipv4_addr . inet_service; }
      map r { type inet_service : ipv4_addr; flags interval; }
      set s { type inet_proto . ipv4_addr . inet_service; }
    }\n`);
  });
  afterAll(() => nft.run(`delete table ip ${TABLE}`));

  it('adds and deletes elements as nft would', () => {
    add(port(53, 5353), { set: 's', key: [{ protocol: 'sctp' }, { address: '127.0.0.1' }, { port: 7 }] });
    expect(listed()).toContain('udp . 53 : 10.1.2.3 . 5353');
    expect(listed()).toContain('sctp . 127.0.0.1 . 7');
    nft.changeElements(table, { remove: [port(53, 1)], add: [port(54, 1)] });
    expect(listed()).not.toContain('udp . 53');
    expect(listed()).toContain('udp . 54');
    remove(port(54, 1));
  });

  it('adds and deletes intervals, up to the last port', () => {
    const interval = (first: number, lastPort: number): NftElement => ({
      set: 'r',
      key: [{ port: first }],
      lastPort,
      data: [{ address: '10.1.2.3' }],
    });
    add(interval(100, 199), interval(200, 299), interval(65000, 65535));
    expect(listed()).toMatch(/65000-65535 : 10\.1\.2\.3/);
    remove(interval(65000, 65535), interval(100, 199));
    expect(listed()).not.toMatch(/65000|100-/);
    expect(listed()).toContain('200-299');
  });

  it('does all or nothing, and says why', () => {
    const many = Array.from({ length: 1200 }, (_, index) => port(index + 1000, 1));
    expect(() => add(...many, { ...port(1, 1), set: 'missing' })).toThrow(expect.objectContaining({ code: 'ENOENT' }));
    expect(listed()).not.toContain('udp . 1000');
    add(...many);
    expect(listed().match(/udp \. /g)).toHaveLength(1200);
    expect(() => remove(port(1, 1))).toThrow(expect.objectContaining({ code: 'ENOENT' }));
    expect(() => add(port(1000, 2))).toThrow(expect.objectContaining({ code: 'EEXIST' }));
    expect(() => add(port(1000, 1))).not.toThrow();
    remove(...many);
  });

  it('refuses what is no address', () => {
    expect(() => add({ set: 's', key: [{ protocol: 'tcp' }, { address: 'x' }, { port: 1 }] })).toThrow('not an IP');
  });

  it('tells of the changes of others, and of no change of ours', async () => {
    const notices: (NftNotice | null)[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const other = `${TABLE}x`;
    using _watch = nft.watch((notice) => {
      notices.push(notice);
      if (notice?.tables.has(`ip6 ${other}`) === true) resolve();
    });
    add(port(1, 1));
    nft.run(`delete element ip ${TABLE} m { udp . 1 }`);
    execFileSync('nft', ['add', 'table', 'ip6', other]);
    execFileSync('nft', ['delete', 'table', 'ip6', other]);
    await promise;
    const own = notices.filter((notice) => notice?.tables.has(`ip ${TABLE}`) ?? true);
    expect(own).toEqual([]);
    expect(notices.find((notice) => notice?.tables.has(`ip6 ${other}`))?.process?.name).toBe('nft');
  });
});
