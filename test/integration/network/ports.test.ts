import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine, until } from '../../support/engine.ts';
import { LAB_ADDRESS, NetworkLab, type LabHost, type NetnsPath } from '../../support/network-lab.ts';

const NODE = new URL('../../../bin/node', import.meta.url).pathname;
const unfit = process.getuid?.() === 0 ? null : 'needs root for network namespaces';
const title = (text: string): string => (unfit === null ? text : `${text} (skipped: ${unfit})`);

/** Sends all of stdin, shuts its side down, and prints what comes back until the other side ends. */
const HALF_CLOSER = `
const [host, port, size] = process.argv.slice(1);
const s = require('node:net').connect({ host, port: Number(port), allowHalfOpen: true });
let n = 0; s.on('data', (d) => { n += d.length; }); s.on('end', () => { console.log(n); process.exit(0); });
s.on('error', (e) => { console.log(e.code); process.exit(1); });
s.end(Buffer.alloc(Number(size), 'x'));`;

/** Gives back what it got, once the sender has ended; on the next port it sends without end. */
const ECHO = `
const [port] = process.argv.slice(1).map(Number);
const net = require('node:net');
net.createServer({ allowHalfOpen: true }, (s) => { const all = []; s.on('error', () => {}); s.on('data', (d) => all.push(d)); s.on('end', () => s.end(Buffer.concat(all))); }).listen(port, '0.0.0.0', () =>
net.createServer((s) => { s.on('error', () => {}); const more = () => { while (s.write(Buffer.alloc(65536))); s.once('drain', more); }; more(); }).listen(port + 1, '0.0.0.0', () => console.log('ready')));`;

/** Answers every connection and datagram with the address it came from. */
const ANSWER = `
const [port] = process.argv.slice(1).map(Number);
require('node:net').createServer((s) => { s.on('error', () => {}); s.end(s.remoteAddress); }).listen(port, '0.0.0.0', () => {
  const u = require('node:dgram').createSocket('udp4');
  u.on('message', (_m, from) => u.send(from.address, from.port, from.address));
  u.bind(port, '0.0.0.0', () => console.log('ready'));
});`;

interface Shown {
  readonly NetworkSettings: {
    readonly SandboxKey: NetnsPath;
    readonly IPAddress: string;
    readonly Gateway: string;
    readonly Ports: Readonly<Record<string, readonly { readonly HostIp: string; readonly HostPort: string }[] | null>>;
  };
}

async function shown(engine: TestEngine, name: string): Promise<Shown['NetworkSettings']> {
  return ((await engine.api('GET', `/containers/${name}/json`)).json as Shown).NetworkSettings;
}

async function runContainer(engine: TestEngine, name: string, ...flags: readonly string[]): Promise<NetnsPath> {
  await engine.dockerOk('run', '-d', '--init', '--name', name, ...flags, 'busybox', 'sleep', '1000');
  return (await shown(engine, name)).SandboxKey;
}

/**
 * Starts a node script on a machine of the lab; killed at the end. Before its container is removed: its namespace lives as
 * long as somebody is in it, and answers for an address that is another's by then.
 */
async function serveScript(lab: NetworkLab, host: LabHost | NetnsPath, script: string, ...args: readonly string[]) {
  const child = spawn('nsenter', [`--net=${lab.netns(host)}`, NODE, '-e', script, '--', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  await once(child.stdout, 'data');
  return {
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

const everywhere = [
  ['host', '127.0.0.1'],
  ['host', '::1'],
  ['host', LAB_ADDRESS.host.ipv4],
  ['host', LAB_ADDRESS.host.ipv6],
  ['client', LAB_ADDRESS.host.ipv4],
  ['client', LAB_ADDRESS.host.ipv6],
] as const;

/** One for all: each engine leaves its host as it was. */
let lab: NetworkLab;

beforeAll(async () => {
  if (unfit === null) lab = await NetworkLab.open();
});
afterAll(async () => {
  if (unfit === null) await lab[Symbol.asyncDispose]();
});

describe.skipIf(unfit !== null).each([
  ['packet filter and proxy', []],
  ['proxy alone', ['--iptables=false']],
] as const)(title('published ports, by %s'), (_name, flags) => {
  let engine: TestEngine;

  beforeAll(async () => {
    engine = await TestEngine.startIn(lab.netns('host'), ...flags);
    await engine.importBusybox();
  });
  afterAll(async () => {
    await engine.removeContainers();
    await engine[Symbol.asyncDispose]();
  });

  it('are reached on every address of the host, by TCP and UDP, and are no more when it ends', async () => {
    const inside = await runContainer(engine, 'web', '-p', '8080:9000', '-p', '8080:9000/udp');
    const { Ports: ports } = await shown(engine, 'web');
    const both = ['0.0.0.0', '::'].map((HostIp) => ({ HostIp, HostPort: '8080' }));
    expect(ports).toEqual({ '9000/tcp': both, '9000/udp': both });
    const server = await serveScript(lab, inside, ANSWER, '9000');
    for (const protocol of ['tcp', 'udp'] as const) {
      for (const [from, address] of everywhere) {
        const { text, error } = await lab.ask(from, address, 8080, { protocol, limitMs: 3000 });
        expect([from, address, protocol, error]).toEqual([from, address, protocol, null]);
        expect(text).toMatch(/^[0-9.]+$/);
      }
    }
    await server[Symbol.asyncDispose]();
    await engine.removeContainers();
    for (const address of ['127.0.0.1', '::1']) {
      expect(await lab.ask('host', address, 8080, { limitMs: 3000 })).toEqual({ text: null, error: 'ECONNREFUSED' });
    }
  });

  it('pass the end of a stream on one by one, and wait for nobody who does not read', async () => {
    const inside = await runContainer(engine, 'echo', '-p', '8081:9000', '-p', '8082:9001');
    const server = await serveScript(lab, inside, ECHO, '9000');
    const stuck = `require('node:net').connect(8082, '::1', function () { this.pause(); console.log('connected'); }).on('error', () => {})`;
    await using _stuck = await serveScript(lab, 'host', stuck);
    for (const address of ['127.0.0.1', '::1']) {
      const size = String(3 * 1024 * 1024);
      expect(await lab.ok('host', NODE, '-e', HALF_CLOSER, '--', address, '8081', size)).toBe(`${size}\n`);
    }
    await server[Symbol.asyncDispose]();
    await engine.removeContainers();
  });

  it('stay as they are when the daemon is killed and comes back', async () => {
    const inside = await runContainer(engine, 'kept', '-p', '127.0.0.1::9000', '-p', '[::1]:8083:9000');
    const server = await serveScript(lab, inside, ANSWER, '9000');
    const before = (await shown(engine, 'kept')).Ports['9000/tcp'] ?? [];
    expect(before.map(({ HostIp }) => HostIp).sort()).toEqual(['127.0.0.1', '::1']);
    await engine.end('SIGKILL');
    await engine.boot();
    expect((await shown(engine, 'kept')).Ports['9000/tcp']).toEqual(before);
    for (const { HostIp, HostPort } of before) {
      const { error } = await lab.ask('host', HostIp, Number(HostPort), { limitMs: 3000 });
      expect([HostIp, error]).toEqual([HostIp, null]);
    }
    const second = await engine.docker(['run', '--name', 'second', '-p', '[::1]:8083:80', 'busybox', 'true']);
    expect(second.stderr).toContain('Bind for ::1:8083 failed: port is already allocated');
    await server[Symbol.asyncDispose]();
    await engine.removeContainers();
  });

  it('are chosen anew when the container is started again, where nobody named them', async () => {
    await runContainer(engine, 'moving', '-p', '9000', '-p', '8084:9001');
    const chosen = async () => {
      const { Ports: ports } = await shown(engine, 'moving');
      return { any: ports['9000/tcp']?.[0]?.HostPort, named: ports['9001/tcp']?.[0]?.HostPort };
    };
    const before = await chosen();
    await engine.api('POST', '/containers/moving/restart?t=0');
    const after = await chosen();
    expect([before.named, after.named]).toEqual(['8084', '8084']);
    expect(Number(after.any)).toBeGreaterThan(0);
    expect(after.any).not.toBe(before.any);
    await engine.removeContainers();
  });

  // One engine is enough for these: they are the allocation's and the descriptors' matter, not the filter's.
  if (flags.length === 0) {
    it('are 5,000 in one call, or none', async () => {
      const range = '20000-24999:20000-24999';
      await engine.dockerOk('run', '-d', '--init', '--name', 'many', '-p', range, 'busybox', 'sleep', '1000');
      expect(await engine.dockerOk('ps', '--format', '{{.Ports}}')).toBe(
        '0.0.0.0:20000-24999->20000-24999/tcp, [::]:20000-24999->20000-24999/tcp',
      );
      const listeners = async (): Promise<number> =>
        (await lab.ok('host', 'ss', '-Hltn')).split('\n').filter((line) => / \*:2[0-4]\d{3} /.test(line)).length;
      expect(await listeners()).toBe(5000);
      await engine.removeContainers();
      expect(await listeners()).toBe(0);
      await using _foreign = await serveScript(
        lab,
        'host',
        `require('node:net').createServer().listen(24990, '127.0.0.1', () => console.log('ready'))`,
      );
      const refused = await engine.docker(['run', '--name', 'many', '-p', range, 'busybox', 'true']);
      expect(refused.stderr).toMatch(
        /driver failed programming external connectivity on endpoint many \([0-9a-f]{64}\): failed to bind host port for 0\.0\.0\.0:24990:[0-9.]+:24990\/tcp: address already in use/,
      );
      expect(await listeners()).toBe(0);
      await engine.removeContainers();
    });
  }
});

describe.skipIf(unfit !== null)(title('published ports without the proxy'), () => {
  it('are on the addresses that the packet filter leads', async () => {
    await using engine = await TestEngine.startIn(lab.netns('host'), '--userland-proxy=false');
    await engine.importBusybox();
    await runContainer(engine, 'web', '-p', '8080:9000', '-p', '[::1]:8081:9000');
    expect((await shown(engine, 'web')).Ports).toEqual({ '9000/tcp': [{ HostIp: '0.0.0.0', HostPort: '8080' }] });
    const none = await lab.ask('host', '::1', 8080);
    expect(none.error).toBe('ECONNREFUSED');
    await engine.removeContainers();
    await until(async () => (await lab.ok('host', 'ss', '-Hltn')) === '');
  });
});
