/** Name servers of real containers: what their own programs are told, through all that happens to engine and networks. */
import { closeSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createLinuxKernel } from '../../../src/engine/kernel/linux/index.ts';
import { run, TestEngine, until } from '../../support/engine.ts';
import { alwaysSays, FakeServer } from '../../support/name-servers.ts';
import { LAB_ADDRESS, NetworkLab } from '../../support/network-lab.ts';

const kernel = createLinuxKernel();
// Whatever was made goes, also when what came after it could not be made.
const resources = new AsyncDisposableStack();
let lab: NetworkLab;
let engine: TestEngine;
let server: FakeServer;
const networks: string[] = [];

beforeAll(async () => {
  lab = resources.use(await NetworkLab.open());
  const neighbour = kernel.namespaces.openNetns(lab.netns('neighbour'));
  server = kernel.namespaces.within(neighbour, () => new FakeServer('0.0.0.0', alwaysSays('203.0.113.7')));
  resources.use(server);
  closeSync(neighbour);
  engine = await TestEngine.startIn(lab.netns('host'), '--dns', LAB_ADDRESS.neighbour.ipv4);
  resources.use(engine);
  await engine.importBusybox();
});
afterEach(async () => {
  await engine.removeContainers();
  for (const name of networks.splice(0)) await engine.api('DELETE', `/networks/${name}`);
});
afterAll(() => resources.disposeAsync());

async function makeNetwork(name: string, ...flags: readonly string[]): Promise<void> {
  await engine.dockerOk('network', 'create', ...flags, name);
  networks.push(name);
}

/** A container that waits; its id. */
async function makeContainer(name: string, ...flags: readonly string[]): Promise<string> {
  return await engine.dockerOk('run', '-d', '--name', name, ...flags, 'busybox', 'sleep', '1000');
}

const inside = (container: string, ...argv: readonly string[]) => engine.docker(['exec', container, ...argv]);

/** What dig prints, asked from where a container is. */
async function dig(container: string, ...args: readonly string[]): Promise<string> {
  const key = await engine.dockerOk('inspect', '-f', '{{.NetworkSettings.SandboxKey}}', container);
  const { stdout } = await run('nsenter', [`--net=${key}`, 'dig', '+short', '+tries=1', '@127.0.0.11', ...args], {});
  return stdout.trim();
}

async function addressOf(container: string, network: string): Promise<string> {
  return await engine.dockerOk(
    'inspect',
    '-f',
    `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`,
    container,
  );
}

describe('containers on users’ networks', () => {
  it('find one another by all their names, and nobody of another network', async () => {
    await makeNetwork('front');
    await makeNetwork('back');
    const web = await makeContainer('web', '--network', 'front', '--network-alias', 'svc', '--hostname', 'www');
    await makeContainer('db', '--network', 'front', '--network-alias', 'svc', '--link', 'web:server');
    await makeContainer('cache', '--network', 'back');
    const address = await addressOf('web', 'front');
    for (const name of ['web', 'WEB', 'web.front', web.slice(0, 12), 'www', 'server']) {
      expect(await dig('db', name), name).toBe(address);
    }
    expect((await dig('db', 'svc')).split('\n').toSorted()).toEqual(
      [address, await addressOf('db', 'front')].toSorted(),
    );
    expect(await dig('db', '-x', address)).toBe('web.front.');
    const looked = await inside('db', 'nslookup', 'web');
    expect(looked.stdout).toContain(`Address: ${address}`);
    expect((await inside('db', 'ping', '-c1', '-w5', 'web')).code).toBe(0);
    // Of others the name server of elsewhere is asked, which has its own opinion.
    for (const name of ['web', 'web.front', 'svc']) expect(await dig('cache', name), name).toBe('203.0.113.7');
    expect(await dig('web', 'cache')).toBe('203.0.113.7');
    expect(await dig('cache', '-x', address)).not.toContain('web');
    expect(await dig('db', '+tcp', 'elsewhere.example')).toBe('203.0.113.7');
  });

  it('have Docker’s file, and share it and its server with who shares their network', async () => {
    await makeNetwork('front');
    await makeContainer('web', '--network', 'front', '--dns-search', 'a.example', '--dns-option', 'timeout:1');
    await makeContainer('guest', '--network', 'container:web');
    const text = (await inside('web', 'cat', '/etc/resolv.conf')).stdout;
    expect(text).toContain('\nnameserver 127.0.0.11\nsearch a.example\noptions timeout:1 ndots:0\n');
    expect(text).toContain(
      `# ExtServers: [${LAB_ADDRESS.neighbour.ipv4}]\n# Overrides: [nameservers search options]\n`,
    );
    expect((await inside('guest', 'cat', '/etc/resolv.conf')).stdout).toBe(text);
    expect((await inside('guest', 'nslookup', 'web.')).stdout).toContain(await addressOf('web', 'front'));
  });

  it('of the inside alone ask nobody outside', async () => {
    await makeNetwork('closed', '--internal');
    await makeContainer('web', '--network', 'closed');
    const asked = server.asked.length;
    expect(await dig('web', 'web')).toBe(await addressOf('web', 'closed'));
    expect(await dig('web', 'elsewhere.example')).toBe('');
    expect(server.asked).toHaveLength(asked);
  });
});

describe('a running container', () => {
  it('that comes onto a network gets its name server, and its names go when it goes', async () => {
    await makeNetwork('front');
    await makeContainer('web', '--network', 'front');
    await makeContainer('late');
    expect((await inside('late', 'cat', '/etc/resolv.conf')).stdout).not.toContain('127.0.0.11');
    await engine.dockerOk('network', 'connect', '--alias', 'extra', 'front', 'late');
    expect((await inside('late', 'cat', '/etc/resolv.conf')).stdout).toContain('nameserver 127.0.0.11\n');
    expect((await inside('late', 'nslookup', 'web')).stdout).toContain(await addressOf('web', 'front'));
    const address = await addressOf('late', 'front');
    for (const name of ['late', 'extra']) expect(await dig('web', name)).toBe(address);
    await engine.dockerOk('rename', 'late', 'renamed');
    await until(async () => (await dig('web', 'renamed')) === address);
    expect(await dig('web', 'late')).toBe('203.0.113.7');
    await engine.dockerOk('network', 'disconnect', 'front', 'renamed');
    expect(await dig('web', 'renamed')).toBe('203.0.113.7');
    expect(await dig('renamed', 'web')).toBe('203.0.113.7');
    expect(await dig('renamed', 'elsewhere.example')).toBe('203.0.113.7');
  });

  it('keeps a file that somebody has edited', async () => {
    await makeNetwork('front');
    const id = await makeContainer('late');
    await inside('late', 'sh', '-c', 'echo "nameserver 192.0.2.99" > /etc/resolv.conf');
    await engine.dockerOk('network', 'connect', 'front', 'late');
    expect((await inside('late', 'cat', '/etc/resolv.conf')).stdout).toBe('nameserver 192.0.2.99\n');
    // A start makes it anew.
    await engine.dockerOk('restart', '-t', '0', id);
    expect((await inside('late', 'cat', '/etc/resolv.conf')).stdout).toContain('nameserver 127.0.0.11\n');
  });
});

describe('the daemon', () => {
  it('that is killed and comes back answers again, on the same port and about the same names', async () => {
    await makeNetwork('front');
    await makeContainer('web', '--network', 'front');
    await makeContainer('db', '--network', 'front', '--link', 'web:server');
    const address = await addressOf('web', 'front');
    const key = await engine.dockerOk('inspect', '-f', '{{.NetworkSettings.SandboxKey}}', 'db');
    const rules = async (): Promise<string> =>
      (await run('nsenter', [`--net=${key}`, 'nft', 'list', 'ruleset'], {})).stdout;
    const before = await rules();
    await engine.end('SIGKILL');
    expect(await rules()).toBe(before);
    await engine.boot();
    for (const name of ['web', 'server']) expect(await dig('db', name)).toBe(address);
    expect(await dig('db', 'elsewhere.example')).toBe('203.0.113.7');
    expect(await rules()).toBe(before);
    await makeContainer('new', '--network', 'front');
    expect(await dig('db', 'new')).toBe(await addressOf('new', 'front'));
  });

  it('keeps no descriptor of containers that are gone', async () => {
    await makeNetwork('front');
    const folder = `/proc/${String(engine.pid)}/fd`;
    await engine.dockerOk('run', '--rm', '--network', 'front', 'busybox', 'nslookup', 'elsewhere.example');
    const before = readdirSync(folder).length;
    for (let turn = 0; turn < 5; turn++) {
      await engine.dockerOk('run', '--rm', '--network', 'front', 'busybox', 'nslookup', 'elsewhere.example');
    }
    await until(() => readdirSync(folder).length <= before);
    expect(readdirSync(join(engine.root, 'exec', 'netns'))).toEqual([]);
  });
});
