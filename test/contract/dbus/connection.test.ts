/** Connecting to what is no bus, or none that wants us; and our own calls over one that does. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { Server } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Clock } from '../../../src/base/clock.ts';
import { SystemClock } from '../../../src/base/clock.ts';
import type { BusConnection } from '../../../src/dbus/bus/connection.ts';
import { BUS_NAME, BUS_PATH, connectBus } from '../../../src/dbus/bus/connection.ts';
import { createDescriptorCalls } from '../../../src/engine/kernel/linux/descriptors.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { PATIENCE } from '../../support/patience.ts';
import { PrivateBus, whyNoBus } from '../../support/private-bus.ts';

const descriptors = createDescriptorCalls();

describe('connecting in vain', () => {
  let directory: string;
  let server: Server;
  let path: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'no-bus-'));
    path = join(directory, 'bus');
  });
  afterEach(async () => {
    server.close();
    await once(server, 'close');
    rmSync(directory, { recursive: true });
  });

  /** A listener that answers each chunk with a text; null: with nothing. */
  async function connectTo(answer: string | null, options: { clock?: Clock; signal?: AbortSignal } = {}) {
    server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', () => (answer === null ? undefined : socket.end(answer)));
    });
    await once(server.listen(path), 'listening');
    return connectBus({
      stream: descriptors.connect(path),
      clock: options.clock ?? new SystemClock(),
      closeFd: (fd) => descriptors.close(fd),
      events: { call() {}, unreadable() {}, bounce() {}, closed: () => expect.fail('it never was up') },
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
  }

  it('says that it is refused', async () => {
    await expect(connectTo('REJECTED EXTERNAL\r\n')).rejects.toThrow('refuses us');
  });

  it('says that the other side hangs up', async () => {
    await expect(connectTo('')).rejects.toThrow('closed the connection');
  });

  it('says that what it hears is no D-Bus', async () => {
    await expect(connectTo('HTTP/1.1 400 Bad Request\r\n\r\n')).rejects.toThrow(/refuses us|closed the connection/);
  });

  it('gives up after ten seconds of silence', async () => {
    const clock = new FakeClock();
    const connecting = expect(connectTo(null, { clock })).rejects.toThrow('does not answer');
    await vi.waitFor(() => expect(clock.pendingCount).toBe(1), PATIENCE);
    await clock.advance(10_000);
    await connecting;
  });

  it('gives up when told', async () => {
    const controller = new AbortController();
    const connecting = expect(connectTo(null, { signal: controller.signal })).rejects.toThrow('not wanted');
    await once(server, 'connection');
    controller.abort();
    await connecting;
  });
});

describe.skipIf(whyNoBus !== null)(`calls of our own${whyNoBus === null ? '' : ` (skipped: ${whyNoBus})`}`, () => {
  let bus: PrivateBus;
  let client: BusConnection;
  const bussed = { destination: BUS_NAME, path: BUS_PATH, interface: BUS_NAME } as const;

  beforeEach(async () => {
    bus = await PrivateBus.start();
    client = await bus.connect();
  });
  afterEach(() => bus[Symbol.asyncDispose]());

  it('are answered, or fail by name', async () => {
    expect(await client.call({ ...bussed, member: 'GetId' })).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/)]);
    await expect(client.callBus('GetNameOwner', 's', ['org.example.Nobody'])).rejects.toMatchObject({
      busName: 'org.freedesktop.DBus.Error.NameHasNoOwner',
    });
  });

  it('end in time, when told, and with the connection', async () => {
    const silent = await bus.connect();
    const order = { destination: silent.uniqueName, path: '/', interface: 'a.b', member: 'C' } as const;
    await expect(client.call({ ...order, timeoutMs: 20 })).rejects.toMatchObject({
      busName: 'org.freedesktop.DBus.Error.Timeout',
    });
    const controller = new AbortController();
    const call = client.call({ ...order, signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(call).rejects.toThrow('enough');
    await expect(client.call({ ...order, signal: controller.signal })).rejects.toThrow('enough');
    const lost = expect(client.call(order)).rejects.toMatchObject({ kind: 'unavailable' });
    await bus.halt();
    await lost;
    await expect(client.call(order)).rejects.toThrow('no connection');
    expect(client.send({ type: 'signal', path: '/', interface: 'a.b', member: 'C' })).toBe(false);
  });

  it('take match rules back', async () => {
    const rule = { sender: BUS_NAME, interface: BUS_NAME, member: 'NameOwnerChanged' } as const;
    const heard: unknown[] = [];
    for (let turn = 0; turn < 600; turn++) {
      await using _match = await client.match(rule, ({ body }) => heard.push(body[0]));
    }
    {
      await using _match = await client.match({ ...rule, arg0: 'a.b' }, ({ body }) => heard.push(body[0]));
      await client.callBus('RequestName', 'su', ['a.b', 0]);
      await client.callBus('RequestName', 'su', ['a.c', 0]);
    }
    await client.callBus('ReleaseName', 's', ['a.b']);
    expect(heard).toEqual(['a.b']);
  });

  it('do not keep descriptors that nobody wants', async () => {
    const other = await bus.connect((message, on) => {
      const { fd, output } = descriptors.openPipe();
      output.on('error', () => closed.resolve());
      on.send({ type: 'return', replySerial: message.serial, destination: message.sender, signature: 'h', body: [fd] });
      const write = (): void =>
        void output.write('x', (error) => (error === null || error === undefined ? write() : undefined));
      write();
    });
    const closed = Promise.withResolvers<void>();
    await client.call({ destination: other.uniqueName, path: '/', interface: 'a.b', member: 'C' });
    await closed.promise;
  });
});
