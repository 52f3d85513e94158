import { describe, expect, it } from 'vitest';
import type { LinkHolder } from '../../../../../src/engine/containers/setup/link-names.ts';
import { legacyLinksOf, linkNames } from '../../../../../src/engine/containers/setup/link-names.ts';
import { linkEnvironment, type ResolvedLink } from '../../../../../src/engine/containers/setup/links.ts';

const link = (change: Partial<ResolvedLink>): ResolvedLink => ({
  alias: 'my-db',
  fullName: '/web/my-db',
  address: '172.17.0.2',
  names: ['my-db', 'host', 'db'],
  ports: [],
  environment: [],
  ...change,
});

describe('the environment of a link', () => {
  it('names each port, and ranges of them, the lowest first', () => {
    const ports = [
      { port: 81, protocol: 'tcp' },
      { port: 53, protocol: 'udp' },
      { port: 53, protocol: 'tcp' },
      { port: 80, protocol: 'tcp' },
    ] as const;
    const lines = linkEnvironment([link({ ports })]);
    expect(lines[0]).toBe('MY_DB_PORT=tcp://172.17.0.2:53');
    expect(lines).toContain('MY_DB_PORT_53_UDP_ADDR=172.17.0.2');
    expect(lines.filter((line) => /_(START|END)=/.test(line))).toEqual([
      'MY_DB_PORT_80_TCP_START=tcp://172.17.0.2:80',
      'MY_DB_PORT_80_TCP_PORT_START=80',
      'MY_DB_PORT_80_TCP_END=tcp://172.17.0.2:81',
      'MY_DB_PORT_80_TCP_PORT_END=81',
    ]);
    expect(lines).toHaveLength(1 + 4 * 4 + 4 + 1);
  });

  it('hands on what the other one has, but for its paths', () => {
    expect(linkEnvironment([link({ environment: ['A=b=c', 'PATH=/x', 'HOME=/y', 'NOVALUE'] })])).toEqual([
      'MY_DB_NAME=/web/my-db',
      'MY_DB_ENV_A=b=c',
    ]);
  });
});

describe('the names of links', () => {
  const holder = (
    name: string,
    links: LinkHolder['document']['spec']['host']['links'],
    network = 'bridge',
  ): LinkHolder =>
    ({ name, document: { spec: { host: { network: { kind: 'network', name: network }, links } } } }) as LinkHolder;

  it('are told by what they lead to, sorted', () => {
    const names = linkNames([
      holder('web', [
        { ref: 'b', alias: 'z' },
        { ref: 'b', alias: 'a' },
      ]),
      holder('app', [{ ref: 'b', alias: 'db' }]),
    ]);
    expect([...names]).toEqual([['b', ['/app/db', '/web/a', '/web/z']]]);
  });

  it('are none on users’ networks, nor of a document from before there were links', () => {
    expect(legacyLinksOf(holder('web', [{ ref: 'b', alias: 'z' }], 'mine').document)).toEqual([]);
    expect(linkNames([holder('old', undefined)]).size).toBe(0);
  });
});
