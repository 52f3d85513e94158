/** Calls on a real bus: one reply each, errors by name, types checked, descriptors both ways, nobody left behind. */
import { closeSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { ConflictError, NotFoundError } from '../../../src/base/errors.ts';
import type { BusConnection } from '../../../src/dbus/bus/connection.ts';
import type { Call } from '../../../src/dbus/bus/exported.ts';
import { variant } from '../../../src/dbus/bus/exported.ts';
import { interfaceName, namedPath, ROOT, SERVICE } from '../../../src/dbus/names.ts';
import { createDescriptorCalls } from '../../../src/engine/kernel/linux/descriptors.ts';
import type { BareFront } from '../../support/bus-front.ts';
import { startBareFront } from '../../support/bus-front.ts';
import { PATIENCE } from '../../support/patience.ts';
import { PrivateBus, whyNoBus } from '../../support/private-bus.ts';
import { volumeObject } from '../../support/volume-object.ts';

const descriptors = createDescriptorCalls();
const path = namedPath('volume', 'web');
const VOLUME = interfaceName('Volume');

describe.skipIf(whyNoBus !== null)(`dispatcher${whyNoBus === null ? '' : ` (skipped: ${whyNoBus})`}`, () => {
  let bus: PrivateBus;
  let front: BareFront;
  let client: BusConnection;

  beforeAll(async () => {
    bus = await PrivateBus.start();
    front = await startBareFront(bus.address);
    client = await bus.connect();
  });
  afterEach(() => front.tree.remove(path));
  afterAll(async () => {
    await front[Symbol.asyncDispose]();
    await bus[Symbol.asyncDispose]();
  });

  const call = (member: string, signature = '', body: readonly unknown[] = [], target = path, name = VOLUME) =>
    client.call({ destination: SERVICE, path: target, interface: name, member, signature, body, takesFds: true });

  it('calls the handler with its arguments and who calls', async () => {
    const seen: unknown[] = [];
    front.tree.add(
      volumeObject('web', {
        Remove: async ({ caller, uid, member }, force) => {
          seen.push(caller.name, uid, member, force);
          return [];
        },
      }),
    );
    expect(await call('Remove', 'b', [true])).toEqual([]);
    expect(seen).toEqual([client.uniqueName, process.getuid?.(), 'Remove', true]);
    expect(await call('GetUsage')).toEqual([1n, 2]);
  });

  it.each([
    ['an object', '/nowhere', VOLUME, 'GetUsage', 'UnknownObject'],
    ['an interface', path, 'org.example.Other', 'GetUsage', 'UnknownInterface'],
    ['an interface of a path between', ROOT.replace('/Engine1', ''), VOLUME, 'GetUsage', 'UnknownInterface'],
    ['a method', path, VOLUME, 'Fly', 'UnknownMethod'],
    ['a property', path, 'org.freedesktop.DBus.Properties', 'Get', 'UnknownProperty'],
  ])('says that it does not know %s', async (_what, target, name, member, error) => {
    front.tree.add(volumeObject('web'));
    const body = member === 'Get' ? [VOLUME, 'Nothing'] : [];
    await expect(call(member, 's'.repeat(body.length), body, target, name)).rejects.toMatchObject({
      busName: `org.freedesktop.DBus.Error.${error}`,
    });
  });

  it('refuses arguments of other types, before anything happens', async () => {
    const remove = vi.fn(async () => []);
    front.tree.add(volumeObject('web', { Remove: remove }));
    const wrong = { busName: 'org.freedesktop.DBus.Error.InvalidArgs' };
    await expect(call('Remove', 's', ['true'])).rejects.toMatchObject(wrong);
    await expect(call('Remove')).rejects.toMatchObject(wrong);
    await expect(call('Remove', 'bb', [true, true])).rejects.toMatchObject(wrong);
    expect(remove).not.toHaveBeenCalled();
  });

  it('turns what is thrown into names, and keeps faults to itself', async () => {
    let thrown: unknown;
    front.tree.add(
      volumeObject('web', {
        Inspect: () => {
          throw thrown;
        },
      }),
    );
    const cases: readonly (readonly [unknown, string, string])[] = [
      [new NotFoundError('No such container: x'), `${SERVICE}.Error.NoSuchContainer`, 'No such container: x'],
      [new ConflictError('a\0b\ud800'), `${SERVICE}.Error.Conflict`, 'ab�'],
      [new TypeError('x is not a function'), `${SERVICE}.Error.Failed`, 'internal error; the journal has more'],
      ['text', `${SERVICE}.Error.Failed`, 'internal error; the journal has more'],
    ];
    for (const [error, busName, message] of cases) {
      thrown = error;
      await expect(call('Inspect')).rejects.toMatchObject({ busName, message });
    }
    const faults = front.log.filter(({ level }) => level === 'error');
    expect(faults.map(({ fields }) => fields['member'])).toEqual(['Inspect', 'Inspect']);
    expect(String(faults[0]?.fields['error'])).toContain('dispatcher.test.ts');
  });

  it('answers with an error when the answer cannot be sent, and stays on the bus', async () => {
    let answer: readonly unknown[] = [];
    front.tree.add(volumeObject('web', { Inspect: async () => answer, GetUsage: async () => answer }));
    const failed = { busName: `${SERVICE}.Error.Failed`, message: 'the answer cannot be sent over D-Bus' };
    for (answer of [[null], [1], [], ['a', 'b']]) {
      await expect(call('Inspect')).rejects.toMatchObject(failed);
    }
    answer = [-1n, 2 ** 32];
    await expect(call('GetUsage')).rejects.toMatchObject(failed);
    answer = [1n, 2];
    expect(await call('GetUsage')).toEqual([1n, 2]);
  });

  it('replaces what no text on the bus may have: who wrote it must not hide the rest', async () => {
    front.tree.add(volumeObject('web', { Inspect: async () => ['a\0b\ud800c'] }));
    expect(await call('Inspect')).toEqual(['a\ufffdb\ufffdc']);
  });

  it('does not send what the bus would end the connection for', async () => {
    let answer = 'x'.repeat(33 * 1024 * 1024);
    front.tree.add(volumeObject('web', { Inspect: async () => [answer] }));
    await expect(call('Inspect')).rejects.toMatchObject({ busName: 'org.freedesktop.DBus.Error.LimitsExceeded' });
    answer = 'x'.repeat(16 * 1024 * 1024);
    const [got] = await call('Inspect');
    expect(String(got).length).toBe(answer.length);
  });

  it('knows no object where there is none, and introspects what lies between', async () => {
    const introspectable = 'org.freedesktop.DBus.Introspectable';
    front.tree.add(volumeObject('web'));
    const [xml] = await call('Introspect', '', [], ROOT.replace('/Engine1', ''), introspectable);
    expect(xml).toContain('<node name="Engine1"/>');
    await expect(call('Introspect', '', [], '/nowhere', introspectable)).rejects.toMatchObject({
      busName: 'org.freedesktop.DBus.Error.UnknownObject',
    });
  });

  it('does a call that wants no reply, and sends none', async () => {
    const done = Promise.withResolvers<void>();
    const pipe = descriptors.openPipe();
    front.tree.add(
      volumeObject('web', {
        Export: async () => {
          done.resolve();
          return [pipe.fd];
        },
      }),
    );
    client.send({ type: 'call', flags: 1, destination: SERVICE, path, interface: VOLUME, member: 'Export' });
    await done.promise;
    // The descriptor that nobody gets is closed: writing to the pipe breaks.
    const broken = Promise.withResolvers<Error>();
    pipe.output.on('error', broken.resolve);
    await vi.waitFor(() => {
      pipe.output.write('x');
      expect(pipe.output.destroyed).toBe(true);
    }, PATIENCE);
    expect((await broken.promise).message).toContain('EPIPE');
  });

  it('logs a fault though nobody wants to know', async () => {
    const Export = async (): Promise<never> => {
      throw new TypeError('a slip');
    };
    front.tree.add(volumeObject('web', { Export }));
    client.send({ type: 'call', flags: 1, destination: SERVICE, path, interface: VOLUME, member: 'Export' });
    const fields = { member: 'Export', error: expect.stringContaining('a slip') };
    await vi.waitFor(
      () => expect(front.log).toContainEqual(expect.objectContaining({ level: 'error', fields })),
      PATIENCE,
    );
  });

  it('finds a method without an interface', async () => {
    front.tree.add(volumeObject('web'));
    expect(await client.call({ destination: SERVICE, path, member: 'GetUsage' })).toEqual([1n, 2]);
    expect(await client.call({ destination: SERVICE, path, member: 'Ping' })).toEqual([]);
    await expect(client.call({ destination: SERVICE, path, member: 'Fly' })).rejects.toThrow('no method');
  });

  it('hands descriptors over, both ways, and keeps none', async () => {
    const before = pipesOpen();
    front.tree.add(
      volumeObject('web', {
        Export: async () => {
          const { fd, output } = descriptors.openPipe();
          output.end('what is in it');
          return [fd];
        },
        Import: async (_call: Call, fd: number) => {
          const got = await text(descriptors.read(fd));
          return [`/got/${got}`];
        },
      }),
    );
    const [fd] = await call('Export');
    expect(await text(descriptors.read(Number(fd)))).toBe('what is in it');
    const { fd: sent, output } = descriptors.openPipe();
    output.end('sent');
    expect(await call('Import', 'ha{sv}', [sent, {}])).toEqual(['/got/sent']);
    await vi.waitFor(() => expect(pipesOpen()).toBe(before), PATIENCE);
  });

  it('keeps a hundred calls with descriptors apart', async () => {
    front.tree.add(
      volumeObject('web', {
        Import: async (_call: Call, fd: number, { Name: name }) => {
          const got = await text(descriptors.read(fd));
          return [`/${got}/${(name as { readonly value: string }).value}`];
        },
      }),
    );
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_each, index) => {
        const { fd, output } = descriptors.openPipe();
        output.end(String(index));
        return call('Import', 'ha{sv}', [fd, { Name: variant('s', String(index)) }]);
      }),
    );
    expect(answers).toEqual(Array.from({ length: 100 }, (_each, index) => [`/${String(index)}/${String(index)}`]));
  });

  it('refuses and closes descriptors where none belongs', async () => {
    front.tree.add(volumeObject('web', { Import: async () => ['/x'] }));
    const open = (): number => openSync('/dev/zero', 'r');
    const zeros = (): number => readdirSync('/proc/self/fd').filter((fd) => linkOf(fd) === '/dev/zero').length;
    const wrong = { busName: 'org.freedesktop.DBus.Error.InvalidArgs' };
    await expect(call('Import', 'ha{sv}', [open(), { More: variant('h', open()) }])).rejects.toMatchObject(wrong);
    await expect(call('Remove', 'h', [open()])).rejects.toMatchObject(wrong);
    await expect(call('Nothing', 'h', [open()])).rejects.toMatchObject({
      message: expect.stringContaining('no method'),
    });
    await vi.waitFor(() => expect(zeros()).toBe(0), PATIENCE);
  });

  it('gives a file by its descriptor to busctl', async () => {
    front.tree.add(volumeObject('web', { Export: async () => [openSync('/dev/zero', 'r')] }));
    expect(await bus.busctl('call', SERVICE, path, VOLUME, 'Export')).toMatch(/^h \d+\n$/);
    const [fd] = await call('Export');
    expect(readSync(Number(fd), Buffer.alloc(4))).toBe(4);
    closeSync(Number(fd));
  });

  it('ends the calls of a client that has gone', async () => {
    const reasons: unknown[] = [];
    front.tree.add(
      volumeObject('web', {
        Inspect: async ({ signal }) => {
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
          reasons.push(signal.reason);
          return ['late'];
        },
      }),
    );
    const other = await bus.connect();
    const left = other.call({ destination: SERVICE, path, interface: VOLUME, member: 'Inspect' });
    await vi.waitFor(() => expect(front.dispatcher.callCount).toBe(1), PATIENCE);
    other.close();
    await expect(left).rejects.toThrow('closed');
    await vi.waitFor(() => expect(front.dispatcher.callCount).toBe(0), PATIENCE);
    expect(reasons).toMatchObject([{ name: 'AbortError' }]);
  });

  it('limits the calls of one client, not of others', async () => {
    const release = Promise.withResolvers<void>();
    front.tree.add(volumeObject('web', { Inspect: () => release.promise.then(() => ['done']) }));
    const other = await bus.connect();
    const order = { destination: SERVICE, path, interface: VOLUME } as const;
    const calls = Array.from({ length: 129 }, () => other.call({ ...order, member: 'Inspect' }));
    await expect(calls[128]).rejects.toMatchObject({ busName: 'org.freedesktop.DBus.Error.LimitsExceeded' });
    expect(await call('GetUsage')).toEqual([1n, 2]);
    release.resolve();
    expect(await Promise.all(calls.slice(0, 128))).toHaveLength(128);
    other.close();
  });

  it('sends property changes before the reply of the call that made them', async () => {
    const values = { Containers: [] as string[] };
    const object = volumeObject(
      'web',
      {
        Remove: async () => {
          values.Containers = [...values.Containers, `/c${String(values.Containers.length)}`];
          front.tree.changed(path);
          return [];
        },
      },
      values,
    );
    front.tree.add(object);
    const order: string[] = [];
    await using _match = await client.match(
      { sender: SERVICE, interface: 'org.freedesktop.DBus.Properties', member: 'PropertiesChanged' },
      ({ body }) => order.push(JSON.stringify(body[1])),
    );
    for (let turn = 0; turn < 3; turn++) order.push(await call('Remove', 'b', [true]).then(() => 'reply'));
    expect(order).toEqual([
      '{"Containers":{"signature":"ao","value":["/c0"]}}',
      'reply',
      '{"Containers":{"signature":"ao","value":["/c0","/c1"]}}',
      'reply',
      '{"Containers":{"signature":"ao","value":["/c0","/c1","/c2"]}}',
      'reply',
    ]);
  });

  it('never sets a property of ours', async () => {
    front.tree.add(volumeObject('web'));
    await expect(bus.busctl('set-property', SERVICE, path, VOLUME, 'Name', 's', 'x')).rejects.toThrow('read-only');
    const set = call('Set', 'ssv', [VOLUME, 'Driver', variant('s', 'x')], path, 'org.freedesktop.DBus.Properties');
    await expect(set).rejects.toMatchObject({ busName: 'org.freedesktop.DBus.Error.PropertyReadOnly' });
    expect(await bus.busctl('get-property', SERVICE, path, VOLUME, 'Driver')).toBe('s "local"\n');
  });

  it('tells a machine its id and answers a ping', async () => {
    const peer = 'org.freedesktop.DBus.Peer';
    expect(await call('Ping', '', [], ROOT, peer)).toEqual([]);
    expect(await call('GetMachineId', '', [], '/', peer)).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/)]);
  });
});

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return '';
  }
}

function pipesOpen(): number {
  return readdirSync('/proc/self/fd').filter((fd) => linkOf(fd).startsWith('pipe:')).length;
}
