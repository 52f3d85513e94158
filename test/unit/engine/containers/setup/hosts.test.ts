import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../../../../src/base/logger.ts';
import type { Container } from '../../../../../src/engine/containers/container.ts';
import { followHosts } from '../../../../../src/engine/containers/setup/hosts.ts';
import type { EndpointState, SandboxState } from '../../../../../src/engine/network/types.ts';
import { ContainersFixture } from '../../../../support/containers-fixture.ts';

const LOCAL = '127.0.0.1\tlocalhost\n';

function on(...addresses: readonly (readonly [string | null, string | null])[]): SandboxState {
  const endpoints = addresses.map(([ipv4Address, ipv6Address]) => ({ ipv4Address, ipv6Address }) as EndpointState);
  return { netnsPath: null, endpoints };
}

function containerWith(hosts: string): Container {
  return {
    paths: { hosts },
    document: { spec: { hostname: 'box', domainname: 'example.org' } },
  } as unknown as Container;
}

describe('the hosts file of a running container', () => {
  it('has the addresses of all its endpoints, in the same file, with what was written inside', async () => {
    await using engine = await ContainersFixture.open();
    const path = join(engine.root, 'hosts');
    writeFileSync(path, `${LOCAL}10.0.0.2\tbox.example.org box\n`);
    const { ino } = statSync(path);
    const container = containerWith(path);
    followHosts(
      { logger: silentLogger },
      container,
      on(['10.0.0.2', null]),
      on(['10.0.0.2', null], ['10.0.1.2', 'fd00::2']),
    );
    writeFileSync(path, `${readFileSync(path, 'utf8')}192.0.2.1 mine\n`);
    followHosts(
      { logger: silentLogger },
      container,
      on(['10.0.0.2', null], ['10.0.1.2', 'fd00::2']),
      on(['10.0.1.2', 'fd00::2']),
    );
    expect(readFileSync(path, 'utf8')).toBe(
      `${LOCAL}10.0.1.2\tbox.example.org box\nfd00::2\tbox.example.org box\n192.0.2.1 mine\n`,
    );
    expect(statSync(path).ino).toBe(ino);
  });

  it('that has no file, or nothing new, is left alone', async () => {
    await using engine = await ContainersFixture.open();
    const missing = join(engine.root, 'none');
    followHosts({ logger: silentLogger }, containerWith(missing), on(), on(['10.0.0.2', null]));
    expect(statSync(missing, { throwIfNoEntry: false })).toBeUndefined();
    const path = join(engine.root, 'hosts');
    writeFileSync(path, 'no end');
    followHosts({ logger: silentLogger }, containerWith(path), on(['10.0.0.2', null]), on(['10.0.0.2', null]));
    expect(readFileSync(path, 'utf8')).toBe('no end');
  });
});

describe('a hosts file that cannot be changed', () => {
  it('is only told of', async () => {
    await using engine = await ContainersFixture.open();
    const told: string[] = [];
    const logger = { ...silentLogger, warn: (message: string) => void told.push(message) };
    followHosts({ logger }, containerWith(engine.root), on(), on(['10.0.0.2', null]));
    expect(told).toEqual(['the hosts file of a container could not follow its networks']);
  });
});

describe('the hosts file of a start', () => {
  it('has a row for each gateway of the host', async () => {
    await using engine = await ContainersFixture.open({ options: { hostGatewayAddresses: ['192.0.2.9', 'fd00::9'] } });
    const id = await engine.run({ host: { extraHosts: ['gw:host-gateway'] } });
    expect(readFileSync(engine.get(id).hostsPath, 'utf8')).toContain('\n192.0.2.9\tgw\nfd00::9\tgw\n');
  });

  it('in the host’s network is the host’s own, or the plain one with what was wished for', async () => {
    await using engine = await ContainersFixture.open();
    const plain = await engine.run({ host: { network: { kind: 'host' } } });
    expect(readFileSync(engine.get(plain).hostsPath, 'utf8')).toBe(readFileSync('/etc/hosts', 'utf8'));
    const wished = await engine.run({ host: { network: { kind: 'host' }, extraHosts: ['db:192.0.2.1'] } });
    const text = readFileSync(engine.get(wished).hostsPath, 'utf8');
    expect(text).toMatch(/^127\.0\.0\.1\tlocalhost\n/);
    expect(text).toMatch(/\n192\.0\.2\.1\tdb\n$/);
  });
});
