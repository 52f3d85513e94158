/** /etc/hosts of containers, and what a link is on a user's network. */
import { statSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine } from '../../support/engine.ts';

const LOCAL = [
  '127.0.0.1\tlocalhost',
  '::1\tlocalhost ip6-localhost ip6-loopback',
  'fe00::\tip6-localnet',
  'ff00::\tip6-mcastprefix',
  'ff02::1\tip6-allnodes',
  'ff02::2\tip6-allrouters',
];

let engine: TestEngine;

describe('hosts files', () => {
  beforeAll(async () => {
    engine = await TestEngine.start('--host-gateway-ip', '192.0.2.9', '--host-gateway-ip', '2001:db8::9');
    await engine.importBusybox();
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
  });

  const hostsOf = async (name: string): Promise<readonly string[]> =>
    (await engine.dockerOk('exec', name, 'cat', '/etc/hosts')).split('\n');
  const addressOn = (name: string, network: string): Promise<string> =>
    engine.dockerOk('inspect', '-f', `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`, name);
  const run = (name: string, ...args: readonly string[]): Promise<string> =>
    engine.dockerOk('run', '-d', '--name', name, ...args, 'busybox', 'sleep', '600');

  it('have the addresses of all networks, and follow them while it runs', async () => {
    await engine.dockerOk('network', 'create', 'one');
    await engine.dockerOk('network', 'create', 'two');
    await run('box', '--net', 'one', '-h', 'own', '--domainname', 'example.org', '--add-host', 'gw:host-gateway');
    const extra = ['192.0.2.9\tgw', '2001:db8::9\tgw'];
    const first = `${await addressOn('box', 'one')}\town.example.org own`;
    expect(await hostsOf('box')).toEqual([...LOCAL, ...extra, first]);
    const path = await engine.dockerOk('inspect', '-f', '{{.HostsPath}}', 'box');
    const { ino } = statSync(path);

    await engine.dockerOk('network', 'connect', 'two', 'box');
    const second = `${await addressOn('box', 'two')}\town.example.org own`;
    expect(await hostsOf('box')).toEqual([...LOCAL, ...extra, first, second]);
    await engine.dockerOk('exec', 'box', 'sh', '-c', 'echo 192.0.2.77 mine >>/etc/hosts');
    await engine.dockerOk('network', 'disconnect', 'one', 'box');
    expect(await hostsOf('box')).toEqual([...LOCAL, ...extra, second, '192.0.2.77 mine']);
    expect(statSync(path).ino).toBe(ino);

    await engine.dockerOk('restart', '-t', '0', 'box');
    const after = `${await addressOn('box', 'two')}\town.example.org own`;
    expect(await hostsOf('box')).toEqual([...LOCAL, ...extra, after]);
    await engine.dockerOk('rm', '-f', 'box');
  });

  it('are one file for those that share a network, and have no address without one', async () => {
    await run('lender', '--net', 'one', '-h', 'lent');
    await run('guest', '--net', 'container:lender');
    await engine.dockerOk('network', 'connect', 'two', 'lender');
    expect(await hostsOf('guest')).toEqual(await hostsOf('lender'));
    expect((await hostsOf('guest')).filter((line) => line.endsWith('\tlent'))).toHaveLength(2);
    const alone = await engine.dockerOk(
      ...['run', '--rm', '--net', 'none', '-h', 'alone', '--add-host', 'x:192.0.2.1', 'busybox', 'cat'],
      ...['/etc/hosts', '/etc/hostname'],
    );
    expect(alone.split('\n')).toEqual([...LOCAL, '192.0.2.1\tx', 'alone']);
    await engine.dockerOk('rm', '-f', 'guest', 'lender');
  });

  it('name nothing of IPv6 where a container has none', async () => {
    const sysctl = ['--sysctl', 'net.ipv6.conf.all.disable_ipv6=1'];
    const args = ['run', '--rm', '--net', 'none', ...sysctl, '--add-host', 'gw:host-gateway', 'busybox'];
    expect((await engine.dockerOk(...args, 'cat', '/etc/hosts')).split('\n')).toEqual([
      '127.0.0.1\tlocalhost',
      '192.0.2.9\tgw',
    ]);
  });

  it('know nothing of links on users’ networks: those are names that their holder alone can ask for', async () => {
    await run('db', '--net', 'one', '-e', 'SECRET=x', '--expose', '5432');
    await run('web', '--net', 'one', '--link', 'db:store');
    await run('other', '--net', 'one');
    const address = await addressOn('db', 'one');
    expect(await engine.dockerOk('exec', 'web', 'nslookup', 'store')).toContain(`Address: ${address}`);
    expect((await engine.docker(['exec', 'other', 'nslookup', 'store'])).stdout).not.toContain(address);
    expect((await hostsOf('web')).join()).not.toContain('store');
    expect(await engine.dockerOk('exec', 'web', 'env')).not.toContain('STORE');
    const links = '{{json .HostConfig.Links}} {{json .NetworkSettings.Networks.one.Links}}';
    expect(await engine.dockerOk('inspect', '-f', links, 'web')).toBe('null ["db:store"]');
    expect(await engine.dockerOk('ps', '--no-trunc', '--filter', 'name=db', '--format', '{{.Names}}')).toBe('db');
    await engine.dockerOk('rm', '-f', 'db', 'web', 'other');
    await engine.dockerOk('network', 'rm', 'one', 'two');
  });
});
