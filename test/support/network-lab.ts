/**
 * Hosts made of network namespaces, to see an engine's packets as others see them:
 *
 *     client 192.0.2.10 ── router ─┬─ host 198.51.100.10        the engine's (`TestEngine.startIn(lab.netns('host'))`)
 *            2001:db8:1::10        └─ neighbour 198.51.100.20    on the host's own segment
 *
 * The host is 2001:db8:2::10, its neighbour 2001:db8:2::20; the router is .1 and ::1 of each side. All of it goes when
 * the lab is disposed of.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { run, type CommandResult } from './engine.ts';
import { comesAlive, isGone } from './left-alive.ts';

/** Who there is. */
export type LabHost = 'client' | 'router' | 'host' | 'neighbour';

/** A network namespace's file. */
export type NetnsPath = `/${string}`;

const HOSTS: readonly LabHost[] = ['client', 'router', 'host', 'neighbour'];

/** Addresses of the machines; the router's are those on the host's side. */
export const LAB_ADDRESS: Readonly<Record<LabHost, { readonly ipv4: string; readonly ipv6: string }>> = {
  client: { ipv4: '192.0.2.10', ipv6: '2001:db8:1::10' },
  router: { ipv4: '198.51.100.1', ipv6: '2001:db8:2::1' },
  host: { ipv4: '198.51.100.10', ipv6: '2001:db8:2::10' },
  neighbour: { ipv4: '198.51.100.20', ipv6: '2001:db8:2::20' },
};

/** What came of asking a port: what it answered, or null for nothing within the time, or a refusal. */
export interface LabAnswer {
  /** Null: no answer. */
  readonly text: string | null;
  /** `timeout`, or the errno of a refusal; null when there was an answer. */
  readonly error: string | null;
}

/** How long an answer is waited for. Where none is expected, the test names less. */
const ANSWER_LIMIT_MS = 5000;

const NODE = new URL('../../bin/node', import.meta.url).pathname;

/** Answers every connection and datagram with the address it came from. */
const RESPONDER = `
const [port, host] = process.argv.slice(1);
const net = require('node:net'), dgram = require('node:dgram');
const plain = (address) => (address ?? '').replace(/^::ffff:/, '');
net.createServer((s) => { s.on('error', () => {}); s.end(plain(s.remoteAddress) + '\\n'); }).listen(Number(port), host, () => {
  const u = dgram.createSocket(host.includes(':') ? 'udp6' : 'udp4');
  u.on('message', (_m, from) => u.send(plain(from.address) + '\\n', from.port, from.address));
  u.bind(Number(port), host, () => console.log('ready'));
});`;

/** Asks one port once and prints what came of it. */
const ASKER = `
const [protocol, host, port, limit] = process.argv.slice(1);
const say = (text, error) => { console.log(JSON.stringify({ text, error })); process.exit(0); };
setTimeout(() => say(null, 'timeout'), Number(limit));
if (protocol === 'tcp') {
  const s = require('node:net').connect(Number(port), host);
  let all = '';
  s.on('data', (d) => { all += d; });
  s.on('end', () => say(all.trim(), null));
  s.on('error', (e) => say(null, e.code));
} else {
  const u = require('node:dgram').createSocket(host.includes(':') ? 'udp6' : 'udp4');
  u.on('message', (m) => say(String(m).trim(), null));
  u.on('error', (e) => say(null, e.code));
  u.connect(Number(port), host, (e) => (e ? say(null, e.code) : u.send('?\\n')));
}`;

/** Four machines and the wires between them. */
export class NetworkLab implements AsyncDisposable {
  readonly #tag = randomBytes(3).toString('hex');
  readonly #responders: ChildProcess[] = [];

  private constructor() {}

  static async open(): Promise<NetworkLab> {
    const lab = new NetworkLab();
    comesAlive(lab);
    try {
      await lab.#wire();
      return lab;
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The file of a machine's network namespace; a path is one already: a container's `SandboxKey`. */
  netns(host: LabHost | NetnsPath): string {
    return host.startsWith('/') ? host : `/run/netns/${this.#nameOf(host as LabHost)}`;
  }

  /** Runs a command on a machine; the mounts are this one's. */
  async on(host: LabHost | NetnsPath, ...argv: readonly string[]): Promise<CommandResult> {
    return await run('nsenter', [`--net=${this.netns(host)}`, ...argv], {});
  }

  /** The same, which must succeed; returns its output. */
  async ok(host: LabHost | NetnsPath, ...argv: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.on(host, ...argv);
    if (code !== 0) throw new Error(`on ${host}, ${argv.join(' ')} ended with ${String(code)}: ${stderr}`);
    return stdout;
  }

  /** Serves a TCP and UDP port of a machine or inside a container: each answer is the address that the server saw. Dispose to end it early. */
  async serve(host: LabHost | NetnsPath, port: number, address = '::'): Promise<Disposable> {
    const child = spawn('nsenter', [`--net=${this.netns(host)}`, NODE, '-e', RESPONDER, '--', String(port), address], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#responders.push(child);
    await once(child.stdout, 'data');
    return { [Symbol.dispose]: () => void child.kill('SIGKILL') };
  }

  /** Asks a port from a machine. */
  async ask(
    host: LabHost | NetnsPath,
    address: string,
    port: number,
    options: { readonly protocol?: 'tcp' | 'udp'; readonly limitMs?: number } = {},
  ): Promise<LabAnswer> {
    const { protocol = 'tcp', limitMs = ANSWER_LIMIT_MS } = options;
    const printed = await this.ok(host, NODE, '-e', ASKER, '--', protocol, address, String(port), String(limitMs));
    return JSON.parse(printed) as LabAnswer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#responders) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
    for (const host of HOSTS) await run('ip', ['netns', 'del', this.#nameOf(host)], {});
    isGone(this);
  }

  #nameOf(host: LabHost): string {
    return `mtlab-${this.#tag}-${host}`;
  }

  async #wire(): Promise<void> {
    for (const host of HOSTS) {
      const made = await run('ip', ['netns', 'add', this.#nameOf(host)], {});
      if (made.code !== 0) throw new Error(`no network namespace: ${made.stderr}`);
      await this.ok(host, 'ip', 'link', 'set', 'lo', 'up');
      // Addresses are usable at once: nobody else is here.
      for (const which of ['all', 'default'])
        await this.ok(host, 'sysctl', '-qw', `net.ipv6.conf.${which}.accept_dad=0`);
    }
    for (const key of ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding']) {
      await this.ok('router', 'sysctl', '-qw', `${key}=1`);
    }
    await this.ok('router', 'ip', 'link', 'add', 'lan', 'type', 'bridge');
    await this.ok('router', 'ip', 'link', 'set', 'lan', 'up');
    for (const host of ['client', 'host', 'neighbour'] as const) await this.#plug(host);
    await this.#address('router', 'lan', '198.51.100.1/24', '2001:db8:2::1/64');
    await this.#address('router', 'client', '192.0.2.1/24', '2001:db8:1::1/64');
  }

  /** A wire from a machine's eth0 to the router. */
  async #plug(host: 'client' | 'host' | 'neighbour'): Promise<void> {
    const peer = ['peer', 'name', 'eth0', 'netns', this.#nameOf(host)];
    await this.ok('router', 'ip', 'link', 'add', host, 'type', 'veth', ...peer);
    if (host !== 'client') await this.ok('router', 'ip', 'link', 'set', host, 'master', 'lan');
    await this.ok('router', 'ip', 'link', 'set', host, 'up');
    const { ipv4, ipv6 } = LAB_ADDRESS[host];
    await this.#address(host, 'eth0', `${ipv4}/24`, `${ipv6}/64`);
    await this.ok(host, 'ip', 'route', 'add', 'default', 'via', ipv4.replace(/\d+$/, '1'));
    await this.ok(host, 'ip', '-6', 'route', 'add', 'default', 'via', ipv6.replace(/::.*$/, '::1'));
  }

  async #address(host: LabHost, link: string, ...cidrs: readonly string[]): Promise<void> {
    await this.ok(host, 'ip', 'link', 'set', link, 'up');
    for (const cidr of cidrs) {
      await this.ok(host, 'ip', 'address', 'add', cidr, 'dev', link, ...(cidr.includes(':') ? ['nodad'] : []));
    }
  }
}
