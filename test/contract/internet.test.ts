/** Internet sockets by plain calls: the kernel's rules of who has a port, and the fake that follows them. */
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { connect, createServer, Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { BindRequest, InternetCalls } from '../../src/engine/kernel/internet.ts';
import type { Fd } from '../../src/engine/kernel/kernel.ts';
import { createInternetCalls } from '../../src/engine/kernel/linux/internet-sockets.ts';
import { FakeInternet } from '../support/fake-internet.ts';
import { thrownBy } from './kernel.contract.ts';

const real = createInternetCalls();
const held: Fd[] = [];
afterEach(() => real.close(held.splice(0)));

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '::');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

describe.each<readonly [string, () => InternetCalls]>([
  ['the kernel', () => real],
  ['the fake', () => new FakeInternet()],
])('ports by %s', (_name, make) => {
  const tcp = (address: string, port: number, further: Partial<BindRequest> = {}): BindRequest => ({
    protocol: 'tcp',
    address,
    port,
    ...further,
  });
  const open = (calls: InternetCalls, request: BindRequest): Fd => {
    const fd = calls.bind(request);
    if (calls === real) held.push(fd);
    if (request.protocol === 'tcp') calls.listen(fd, 0);
    return fd;
  };

  it.each([
    ['0.0.0.0', '0.0.0.0'],
    ['0.0.0.0', '127.0.0.1'],
    ['127.0.0.1', '0.0.0.0'],
    ['::', '::1'],
  ])('exclude one another: %s and %s', async (first, second) => {
    const calls = make();
    const port = await freePort();
    for (const protocol of ['tcp', 'udp'] as const) {
      open(calls, tcp(first, port, { protocol }));
      const error = thrownBy(() => void calls.bind(tcp(second, port, { protocol })));
      expect(error).toMatchObject({ call: 'bind', code: 'EADDRINUSE' });
    }
  });

  it('are of one family each, or of both on one socket', async () => {
    const calls = make();
    const port = await freePort();
    const ipv6 = open(calls, tcp('::', port));
    open(calls, tcp('0.0.0.0', port));
    expect(thrownBy(() => void calls.bind(tcp('::', port, { bothFamilies: true })))).toMatchObject({
      code: 'EADDRINUSE',
    });
    calls.close([ipv6]);
    if (calls === real) held.splice(held.indexOf(ipv6), 1);
    expect(thrownBy(() => void calls.bind(tcp('::', port, { bothFamilies: true })))).toMatchObject({
      code: 'EADDRINUSE',
    });
  });

  it('are not on addresses of others', () => {
    expect(thrownBy(() => void make().bind(tcp('192.0.2.1', 80)))).toMatchObject({
      call: 'bind',
      code: 'EADDRNOTAVAIL',
    });
  });

  it('are as many as descriptors', () => {
    expect(make().descriptorLimit()).toBeGreaterThan(100);
    const descriptors = (): number => readdirSync('/proc/self/fd').length;
    const before = descriptors();
    make().expect(3000);
    make().expect(make().descriptorLimit());
    expect(descriptors()).toBe(before);
  });
});

describe('sockets of the kernel', () => {
  it('tell of callers behind one descriptor, and hand them over', async () => {
    const port = await freePort();
    const listener = real.bind({ protocol: 'tcp', address: '127.0.0.1', port });
    held.push(listener);
    real.listen(listener, 8);
    expect(real.accept(listener)).toBeNull();
    using ready = real.openReadySet();
    ready.add(listener, 7);
    const called = new Promise<readonly number[]>((resolve) => ready.watch(resolve));
    const caller = connect(port, '127.0.0.1');
    expect(await called).toEqual([7]);
    const connection = real.accept(listener);
    expect(connection).not.toBeNull();
    if (connection !== null) held.push(connection);
    caller.destroy();
    ready.remove(listener);
  });

  it.each(['127.0.0.1', '::1'])('answer datagrams from the address they were sent to: %s', async (address) => {
    const port = await freePort();
    const server = real.bind({ protocol: 'udp', address: '::', port, bothFamilies: true, destinations: true });
    const client = real.connectDatagrams(address, port);
    held.push(server, client);
    expect(real.receiveFrom(server)).toBeNull();
    real.send(client, Buffer.from('ping'));
    const datagram = real.receiveFrom(server);
    expect(datagram?.bytes.toString()).toBe('ping');
    // The client hears nobody but the address that it asked.
    if (datagram !== null) real.sendTo(server, Buffer.from('pong'), datagram);
    expect(real.receive(client)?.toString()).toBe('pong');
    expect(real.receive(client)).toBeNull();
  });

  it('tell that nobody listens', async () => {
    const client = real.connectDatagrams('127.0.0.1', await freePort());
    held.push(client);
    real.send(client, Buffer.from('x'));
    expect(thrownBy(() => void real.receive(client))).toMatchObject({ code: 'ECONNREFUSED' });
  });

  const sctp = { protocol: 'sctp', address: '127.0.0.1', port: 9899 } as const;
  const lacksSctp = !readFileSync('/proc/net/protocols', 'utf8').includes('SCTP');
  it.skipIf(!lacksSctp)(`are none of SCTP where the kernel lacks it${lacksSctp ? '' : ' (skipped: it has it)'}`, () => {
    expect(thrownBy(() => void held.push(real.bind(sctp)))).toMatchObject({ call: 'socket' });
  });

  it.skipIf(lacksSctp)(`are of SCTP as well${lacksSctp ? ' (skipped: the kernel lacks SCTP)' : ''}`, () => {
    held.push(real.bind(sctp));
    expect(thrownBy(() => void real.bind(sctp))).toMatchObject({ call: 'bind', code: 'EADDRINUSE' });
  });
});

describe('an address with a zone', () => {
  it('leads over that link, by name or number', () => {
    for (const zone of ['lo', '1']) held.push(real.connectDatagrams(`::1%${zone}`, 53));
    expect(held).toHaveLength(2);
    expect(thrownBy(() => real.connectDatagrams('fe80::1%no-such-link', 53))).toMatchObject({ code: 'ENODEV' });
  });
});

describe('a stream under way', () => {
  it('is refused at once or later, and leaves no descriptor where it is refused at once', async () => {
    const port = await freePort();
    const fd = real.connectStream('127.0.0.1', port);
    held.push(fd);
    const socket = new Socket({ fd, readable: true, writable: true });
    held.pop();
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ECONNREFUSED');
    expect(thrownBy(() => real.connectStream('255.255.255.255', port))).toMatchObject({ call: 'connect' });
  });
});
