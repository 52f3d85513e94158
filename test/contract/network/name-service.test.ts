/** The name service by its seam, in real namespaces: sockets, packet filter, its thread, and servers elsewhere. */
import { mkdtempSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decode } from 'dns-packet';
import type { DecodedPacket, Packet } from 'dns-packet';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../src/base/clock.ts';
import { KernelError } from '../../../src/engine/kernel/kernel.ts';
import { createLinuxKernel } from '../../../src/engine/kernel/linux/index.ts';
import { createInternetCalls } from '../../../src/engine/kernel/linux/internet-sockets.ts';
import { ThreadedNameService } from '../../../src/engine/network/dns/service.ts';
import type { KeptSockets } from '../../../src/engine/network/kept-sockets.ts';
import type { NamedEndpoint, NameView, NetworkNames } from '../../../src/engine/network/name-service.ts';
import { questionBytes } from '../../support/dns-packets.ts';
import type { AskedType } from '../../support/dns-packets.ts';
import { until } from '../../support/engine.ts';
import { alwaysSays, askByUdp, FakeServer, replyTo, TestSandbox } from '../../support/name-servers.ts';
import { RecordingLogger } from '../../support/recording-logger.ts';

const kernel = createLinuxKernel();
const internet = createInternetCalls();
const folder = mkdtempSync(join(tmpdir(), 'name-service-'));
const resolvConfPath = join(folder, 'resolv.conf');
/** A loopback address of this machine that nobody else has. */
const HOST_SERVER = '127.83.41.7';
/** Addresses inside a sandbox where servers of its own network stand. */
const [FIRST, SECOND, THIRD] = ['192.0.2.53', '192.0.2.54', '192.0.2.55'] as const;
const INSIDE = [`${FIRST}/32`, `${SECOND}/32`, `${THIRD}/32`];

const endpoint = (
  names: readonly string[],
  ipv4Address: string | null,
  ipv6Address: string | null = null,
): NamedEndpoint => ({
  names,
  ipv4Address,
  ipv6Address,
});
const network = (changes: Partial<NetworkNames>): NetworkNames => ({
  networkName: 'front',
  internal: false,
  ipv4: true,
  ipv6: false,
  endpoints: [],
  links: {},
  ...changes,
});
const FRONT = network({
  endpoints: [endpoint(['web', 'svc'], '10.1.0.2', 'fd00::2'), endpoint(['db', 'svc'], '10.1.0.3')],
});
const view = (networks: readonly NetworkNames[], changes: Partial<NameView> = {}): NameView => ({
  networks,
  servers: [],
  ...changes,
});

function serviceWith(changes: Partial<ConstructorParameters<typeof ThreadedNameService>[0]> = {}): ThreadedNameService {
  return new ThreadedNameService({
    kernel,
    internet,
    clock: new SystemClock(),
    logger: new RecordingLogger(),
    workerUrl: new URL('../../../src/service/dns-worker.ts', import.meta.url),
    resolvConfPath,
    kept: null,
    ...changes,
  });
}

async function ask(sandbox: TestSandbox, name: string, type: AskedType = 'A', limitMs?: number) {
  const bytes = await askByUdp(sandbox, questionBytes(name, type), limitMs);
  return bytes === null ? null : (decode(bytes) as DecodedPacket & { readonly rcode: string });
}

const dataOf = (packet: DecodedPacket | null): readonly unknown[] | null =>
  packet?.answers?.map((record) => ('data' in record ? record.data : record.type)) ?? null;

let names: ThreadedNameService;
let sandbox: TestSandbox;
let open: Disposable[];

beforeEach(() => {
  writeFileSync(resolvConfPath, '');
  names = serviceWith();
  sandbox = new TestSandbox(kernel, ...INSIDE);
  open = [sandbox];
});
afterEach(async () => {
  await names.close();
  for (const one of open.reverse()) one[Symbol.dispose]();
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A server that is gone after the test. */
function serverInside(address: string, behaviour: ConstructorParameters<typeof FakeServer>[1]): FakeServer {
  const server = sandbox.inside(() => new FakeServer(address, behaviour));
  open.push(server);
  return server;
}

function serverOnHost(behaviour: ConstructorParameters<typeof FakeServer>[1]): FakeServer {
  const server = new FakeServer(HOST_SERVER, behaviour);
  open.push(server);
  return server;
}

describe('names of the own networks', () => {
  it('are answered by UDP and TCP, in both families and both directions, one after the other', async () => {
    await names.start(sandbox, view([FRONT]));
    expect(dataOf(await ask(sandbox, 'WEB'))).toEqual(['10.1.0.2']);
    expect(dataOf(await ask(sandbox, 'web.front.', 'AAAA'))).toEqual(['fd00::2']);
    expect(await ask(sandbox, 'db', 'AAAA')).toMatchObject({ rcode: 'NOERROR', answers: [] });
    expect(await ask(sandbox, 'web', 'MX')).toMatchObject({ rcode: 'NOERROR', answers: [] });
    expect(dataOf(await ask(sandbox, '3.0.1.10.in-addr.arpa', 'PTR'))).toEqual(['db.front']);
    const first = dataOf(await ask(sandbox, 'svc'));
    const second = dataOf(await ask(sandbox, 'svc'));
    expect(first?.toSorted()).toEqual(['10.1.0.2', '10.1.0.3']);
    expect(second).toEqual(first?.toReversed());
    const { stdout } = await sandbox.run('dig', '+short', '+tcp', '@127.0.0.11', '-x', 'fd00::2');
    expect(stdout).toBe('web.front.\n');
  });

  it('change with the view, and end with the service', async () => {
    await names.start(sandbox, view([FRONT]));
    expect(dataOf(await ask(sandbox, 'web'))).toEqual(['10.1.0.2']);
    names.update(sandbox.containerId, view([network({ endpoints: [endpoint(['web'], '10.1.0.9')] })]));
    await until(async () => dataOf(await ask(sandbox, 'web'))?.[0] === '10.1.0.9');
    expect(await ask(sandbox, 'db')).toMatchObject({ rcode: 'SERVFAIL' });
    names.stop(sandbox.containerId);
    names.update(sandbox.containerId, view([FRONT]));
    // Nobody listens: the kernel says so.
    await until(async () => (await askByUdp(sandbox, questionBytes('web'), 200)) === null);
  });

  it('of one network are never answered in another', async () => {
    const other = new TestSandbox(kernel);
    open.push(other);
    await names.start(sandbox, view([FRONT]));
    await names.start(other, view([network({ networkName: 'back', endpoints: [endpoint(['cache'], '10.2.0.2')] })]));
    for (const name of ['web', 'db', 'svc', 'web.front', 'front']) {
      expect(await ask(other, name), name).toMatchObject({ rcode: 'SERVFAIL', answers: [] });
    }
    for (const name of ['cache', 'cache.back']) expect(await ask(sandbox, name)).toMatchObject({ rcode: 'SERVFAIL' });
    expect(await ask(other, '2.0.1.10.in-addr.arpa', 'PTR')).toMatchObject({ rcode: 'SERVFAIL', answers: [] });
    expect(dataOf(await ask(other, 'cache.back'))).toEqual(['10.2.0.2']);
  });

  it('too many for a datagram are cut, and whole by TCP, as dig asks by itself', async () => {
    const endpoints = Array.from({ length: 200 }, (_, index) => endpoint(['svc'], `10.1.1.${String(index)}`));
    await names.start(sandbox, view([network({ endpoints })]));
    const cut = await ask(sandbox, 'svc');
    expect(cut?.flag_tc).toBe(true);
    expect(cut?.answers).toHaveLength(30);
    const { stdout } = await sandbox.run('dig', '+short', '@127.0.0.11', 'svc');
    expect(stdout.trim().split('\n')).toHaveLength(200);
    const { stdout: byEdns } = await sandbox.run('dig', '+ignore', '+bufsize=4096', '@127.0.0.11', 'svc');
    expect(byEdns).toContain('ANSWER: 200');
  });
});

describe('port 53', () => {
  it('of all other addresses is free for a server of the container’s own', async () => {
    await names.start(sandbox, view([FRONT]));
    serverInside('0.0.0.0', alwaysSays('198.51.100.1'));
    expect(dataOf(await ask(sandbox, 'web'))).toEqual(['10.1.0.2']);
    expect((await sandbox.run('dig', '+short', '@127.0.0.1', 'web')).stdout).toBe('198.51.100.1\n');
    expect((await sandbox.run('dig', '+short', '+tcp', '@127.0.0.11', 'web')).stdout).toBe('10.1.0.2\n');
  });

  it('leads to another port where the first is taken, and nowhere twice after a restart', async () => {
    const ruleset = async (): Promise<string> => (await sandbox.run('nft', 'list', 'ruleset')).stdout;
    await names.start(sandbox, view([FRONT]));
    const before = await ruleset();
    expect(before.match(/set \d+/g)).toHaveLength(4);
    await names.close();
    names = serviceWith();
    await names.start(sandbox, view([FRONT]));
    expect(await ruleset()).toBe(before);
    await names.close();
    const port = Number(/dport set (\d+)/.exec(before)?.[1]);
    const squatter = sandbox.inside(() => internet.bind({ protocol: 'udp', address: '0.0.0.0', port }));
    names = serviceWith();
    await names.start(sandbox, view([FRONT]));
    expect(dataOf(await ask(sandbox, 'web'))).toEqual(['10.1.0.2']);
    const after = await ruleset();
    expect(after.match(/set \d+/g)).toHaveLength(4);
    expect(after).not.toContain(`dport set ${String(port)}`);
    internet.close([squatter]);
  });

  it('is the service’s own where there is no packet filter', async () => {
    const fail = (): never => {
      throw new KernelError('dlopen', 'ENOENT', 'libnftables.so.1');
    };
    names = serviceWith({ kernel: { ...kernel, nft: { ...kernel.nft, run: fail, list: fail } } });
    await names.start(sandbox, view([FRONT]));
    expect(dataOf(await ask(sandbox, 'web'))).toEqual(['10.1.0.2']);
    expect((await sandbox.run('nft', 'list', 'ruleset')).stdout).toBe('');
  });

  it('is asked in vain where the namespace is gone: an error, and nothing left', async () => {
    const before = readdirSync('/proc/self/fd').length;
    const gone = { containerId: sandbox.containerId, netnsPath: '/nowhere/netns', netns: sandbox.netns };
    await expect(names.start(gone, view([FRONT]))).rejects.toThrow('ENOENT');
    await until(() => readdirSync('/proc/self/fd').length <= before);
  });
});

describe('names of elsewhere', () => {
  it('are asked of the container’s servers from where it is, whatever they say', async () => {
    const server = serverInside(FIRST, alwaysSays('198.51.100.7'));
    await names.start(sandbox, view([FRONT], { servers: [FIRST] }));
    expect(dataOf(await ask(sandbox, 'example.com'))).toEqual(['198.51.100.7']);
    expect(dataOf(await ask(sandbox, 'db'))).toEqual(['10.1.0.3']);
    const soa = { type: 'SOA', name: 'example', ttl: 60, data: { mname: 'a.example', rname: 'b.example' } } as const;
    server.behaviour = (question) => [replyTo(question, { flags: 0x0183, authorities: [soa] })];
    expect(await ask(sandbox, 'gone.example')).toMatchObject({ rcode: 'NXDOMAIN', authorities: [{ type: 'SOA' }] });
    server.behaviour = (question) => [replyTo(question)];
    expect(await ask(sandbox, 'empty.example', 'TXT')).toMatchObject({ rcode: 'NOERROR', answers: [] });
    expect(server.asked.map(({ name }) => name)).toEqual(['example.com', 'gone.example', 'empty.example']);
    expect((await sandbox.run('dig', '+short', '+tcp', '@127.0.0.11', 'by.tcp.example')).stdout).toBe('');
    expect(server.asked.at(-1)).toEqual({ name: 'by.tcp.example', type: 'A', way: 'tcp' });
  });

  it('are asked of the host’s own server from the host, by its file as it is now', async () => {
    const onHost = serverOnHost(alwaysSays('198.51.100.1'));
    const inside = serverInside(FIRST, alwaysSays('198.51.100.2'));
    writeFileSync(resolvConfPath, `nameserver ${HOST_SERVER}\nsearch example\n`);
    await names.start(sandbox, view([FRONT]));
    expect(dataOf(await ask(sandbox, 'example.com'))).toEqual(['198.51.100.1']);
    writeFileSync(`${resolvConfPath}.new`, `nameserver ${FIRST}\n`);
    renameSync(`${resolvConfPath}.new`, resolvConfPath);
    await until(async () => dataOf(await ask(sandbox, 'example.com'))?.[0] === '198.51.100.2');
    const asked = onHost.asked.length;
    // Written in place.
    writeFileSync(resolvConfPath, `nameserver ${HOST_SERVER}\n`);
    await until(async () => dataOf(await ask(sandbox, 'example.com'))?.[0] === '198.51.100.1');
    expect(onHost.asked.length).toBeGreaterThan(asked);
    expect(inside.asked.length).toBeGreaterThan(0);
    rmSync(resolvConfPath);
    await until(async () => (await ask(sandbox, 'example.com'))?.rcode === 'SERVFAIL');
  });

  it('are asked of the next server where one is not there, silent or of no help', async () => {
    const second = serverInside(SECOND, (question) => [replyTo(question, { flags: 0x0182 })]);
    const third = serverInside(THIRD, alwaysSays('198.51.100.3'));
    await names.start(sandbox, view([FRONT], { servers: [FIRST, SECOND, THIRD] }));
    expect(dataOf(await ask(sandbox, 'example.com'))).toEqual(['198.51.100.3']);
    expect(second.asked).toHaveLength(1);
    second.behaviour = () => [];
    const before = Date.now();
    expect(dataOf(await ask(sandbox, 'slow.example'))).toEqual(['198.51.100.3']);
    expect(Date.now() - before).toBeGreaterThan(1500);
    // It is not waited for again.
    expect(dataOf(await ask(sandbox, 'next.example', 'A', 1500))).toEqual(['198.51.100.3']);
    third.behaviour = (question) => [replyTo(question, { flags: 0x0185 })];
    second.behaviour = (question) => [replyTo(question, { flags: 0x0182 })];
    expect((await ask(sandbox, 'nobody.knows'))?.rcode).toMatch(/SERVFAIL|REFUSED/);
  });

  it('that nobody answers are an error in the end; and by TCP', async () => {
    await names.start(sandbox, view([FRONT], { servers: [FIRST] }));
    expect(await ask(sandbox, 'example.com')).toMatchObject({ rcode: 'SERVFAIL', answers: [] });
    const { stdout } = await sandbox.run('dig', '+tcp', '@127.0.0.11', 'example.com');
    expect(stdout).toContain('status: SERVFAIL');
  });

  it('come with what was asked, or not at all', async () => {
    const forged = (question: DecodedPacket): readonly Buffer[] => {
      const bad: Packet = { answers: [{ type: 'A', name: 'example.com', ttl: 30, data: '203.0.113.66' }] };
      return [
        replyTo({ ...question, id: ((question.id ?? 0) + 1) & 0xffff }, bad),
        replyTo({ ...question, questions: [{ type: 'A', class: 'IN', name: 'bad.example' }] }, bad),
        Buffer.from('nonsense'),
        ...alwaysSays('198.51.100.1')(question, 'udp'),
      ];
    };
    serverInside(FIRST, forged);
    await names.start(sandbox, view([FRONT], { servers: [FIRST] }));
    for (let turn = 0; turn < 5; turn++) {
      expect(dataOf(await ask(sandbox, 'example.com'))).toEqual(['198.51.100.1']);
    }
  });

  it('too long for a datagram come by TCP when they are asked for so', async () => {
    const answers = Array.from({ length: 300 }, (_, index) => {
      return { type: 'A', name: 'big.example', ttl: 30, data: `198.51.100.${String(index & 255)}` } as const;
    });
    const server = serverInside(FIRST, (question, way) => [
      way === 'tcp' ? replyTo(question, { answers }) : replyTo(question, { flags: 0x0380 }),
    ]);
    await names.start(sandbox, view([FRONT], { servers: [FIRST] }));
    expect((await ask(sandbox, 'big.example'))?.flag_tc).toBe(true);
    const { stdout } = await sandbox.run('dig', '+short', '@127.0.0.11', 'big.example');
    expect(stdout.trim().split('\n')).toHaveLength(300);
    // A server that sends more than was asked for.
    server.behaviour = (question) => [replyTo(question, { answers })];
    expect(await ask(sandbox, 'big.example')).toMatchObject({ flag_tc: true, answers: [] });
  });

  it('are asked by nobody on internal networks, nor names without a dot where ndots is set', async () => {
    const server = serverInside(FIRST, alwaysSays('198.51.100.1'));
    await names.start(sandbox, view([network({ internal: true })], { servers: [FIRST] }));
    expect(await ask(sandbox, 'example.com')).toMatchObject({ rcode: 'SERVFAIL' });
    names.update(sandbox.containerId, view([FRONT], { servers: [FIRST], options: ['ndots:2'] }));
    await until(async () => (await ask(sandbox, 'printer'))?.rcode === 'NOERROR');
    expect(dataOf(await ask(sandbox, 'printer'))).toEqual([]);
    expect(server.asked).toEqual([]);
    expect(dataOf(await ask(sandbox, 'printer.example'))).toEqual(['198.51.100.1']);
  });
});

describe('a socket of the last run', () => {
  it('is gone on with, and what waits in it is answered', async () => {
    const port = 40_053;
    const udp = sandbox.inside(() => internet.bind({ protocol: 'udp', address: '127.0.0.11', port }));
    const said: string[] = [];
    const prefix = `names-${String(statSync(sandbox.netnsPath).ino)}-`;
    const kept: KeptSockets = {
      take: (asked) => (asked === prefix ? { name: `${prefix}${String(port)}`, fd: udp } : null),
      keep: (name) => void said.push(`keep ${name}`),
      forget: (name) => void said.push(`forget ${name}`),
      forgetRest: () => undefined,
    };
    await sandbox.run(
      'nft',
      `add table ip t; add chain ip t c { type filter hook output priority -500; }; add rule ip t c ip daddr 127.0.0.11 udp dport 53 udp dport set ${String(port)}; add chain ip t d { type filter hook postrouting priority 400; }; add rule ip t d udp sport ${String(port)} udp sport set 53`,
    );
    const waiting = askByUdp(sandbox, questionBytes('web'));
    names = serviceWith({ kept });
    await names.start(sandbox, view([FRONT]));
    const answer = await waiting;
    expect(answer === null ? null : dataOf(decode(answer))).toEqual(['10.1.0.2']);
    expect((await sandbox.run('dig', '+short', '+tcp', '@127.0.0.11', 'web')).stdout).toBe('10.1.0.2\n');
    names.stop(sandbox.containerId);
    expect(said).toEqual([`keep ${prefix}${String(port)}`, `forget ${prefix}${String(port)}`]);
  });

  it('that is of no use is forgotten, and another is made', async () => {
    const said: string[] = [];
    const kept: KeptSockets = {
      take: (prefix) => ({
        name: `${prefix}0`,
        fd: sandbox.inside(() => internet.bind({ protocol: 'udp', address: '127.0.0.1', port: 9 })),
      }),
      keep: (name) => void said.push(name.replace(/^names-\d+-\d{5}$/, 'keep')),
      forget: (name) => void said.push(name.replace(/^names-\d+-0$/, 'forget')),
      forgetRest: () => undefined,
    };
    names = serviceWith({
      kept,
      internet: {
        ...internet,
        bind: (request) => {
          if (request.port === 0) throw new KernelError('bind', 'EADDRINUSE', null);
          return internet.bind(request);
        },
      },
    });
    await names.start(sandbox, view([FRONT]));
    expect(dataOf(await ask(sandbox, 'web'))).toEqual(['10.1.0.2']);
    expect(said).toEqual(['forget', 'keep']);
  });
});

describe('the thread', () => {
  it('that breaks is started again, and nobody’s sockets are lost', async () => {
    const logger = new RecordingLogger();
    names = serviceWith({ logger, workerUrl: new URL('../../support/breaking-dns-worker.ts', import.meta.url) });
    await names.start(sandbox, view([FRONT]));
    expect(dataOf(await ask(sandbox, 'web'))).toEqual(['10.1.0.2']);
    names.update(sandbox.containerId, view([FRONT, network({ networkName: 'break' })]));
    await until(() => logger.lines.some(({ message }) => message.includes('started again')));
    // Waits in the socket meanwhile.
    expect(dataOf(await ask(sandbox, 'web'))).toEqual(['10.1.0.2']);
  });

  it('leaves no descriptor behind, however often sandboxes come and go', async () => {
    serverInside(FIRST, () => []);
    await names.start(sandbox, view([FRONT], { servers: [FIRST] }));
    await ask(sandbox, 'web');
    // The thread's own stay for a while: from now on it watches the host's file, too.
    await ask(sandbox, 'waits.example', 'A', 50);
    names.stop(sandbox.containerId);
    const count = (): number => readdirSync('/proc/self/fd').length;
    await until(async () => (await askByUdp(sandbox, questionBytes('web'), 200)) === null);
    const before = count();
    for (let turn = 0; turn < 20; turn++) {
      await names.start(sandbox, view([FRONT], { servers: [FIRST] }));
      void askByUdp(sandbox, questionBytes('waits.example'), 1);
      await sandbox.run('true');
      names.stop(sandbox.containerId);
    }
    await until(() => count() <= before);
    expect(count()).toBeLessThanOrEqual(before);
  });
});
