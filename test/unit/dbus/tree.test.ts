/** The tree without a bus: what is announced, when, and what everything looks like in bytes. */
import { beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../src/base/logger.ts';
import type { ExportedObject } from '../../../src/dbus/bus/exported.ts';
import { interfaceName, namedPath, pathOf, ROOT } from '../../../src/dbus/names.ts';
import { Tree } from '../../../src/dbus/bus/tree.ts';
import { Framer } from '../../../src/dbus/bus/wire/framer.ts';
import type { IncomingMessage, OutgoingMessage } from '../../../src/dbus/bus/wire/message.ts';
import { encodeMessage } from '../../../src/dbus/bus/wire/message.ts';
import { Writer } from '../../../src/dbus/bus/wire/writer.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { volumeObject } from '../../support/volume-object.ts';

const clock = new FakeClock();
const logged: string[] = [];
let tree: Tree;
let sent: IncomingMessage[];

/** Messages as a client would read them. */
function asReceived(message: OutgoingMessage): IncomingMessage {
  const got: IncomingMessage[] = [];
  const framer = new Framer({ message: (each) => got.push(each), unreadable: ({ reason }) => expect.fail(reason) });
  framer.push(encodeMessage(message, 1).bytes, []);
  return got[0]!;
}

beforeEach(() => {
  logged.length = 0;
  sent = [];
  tree = new Tree({ clock, logger: { ...silentLogger, error: (message) => void logged.push(message) } });
  tree.connect((message) => void sent.push(asReceived(message)));
});

const path = namedPath('volume', 'web');
const short = ({ path: at, member, body }: IncomingMessage): unknown => [at, member, ...body];

describe('announcing', () => {
  it('tells what comes and goes, at the root', () => {
    tree.add(volumeObject('web'));
    expect(sent[0]).toMatchObject({
      path: ROOT,
      interface: 'org.freedesktop.DBus.ObjectManager',
      member: 'InterfacesAdded',
      signature: 'oa{sa{sv}}',
      body: [
        path,
        {
          [interfaceName('Volume')]: {
            Name: { signature: 's', value: 'web' },
            CreatedAt: { signature: 't', value: 1n },
            Anonymous: { signature: 'b', value: false },
            Containers: { signature: 'ao', value: [] },
          },
        },
      ],
    });
    tree.remove(path);
    tree.remove(path);
    expect(sent.slice(1).map(short)).toEqual([[ROOT, 'InterfacesRemoved', path, [interfaceName('Volume')]]]);
    expect(tree.has(path)).toBe(false);
  });

  it('replaces an object', () => {
    tree.add(volumeObject('web'));
    tree.add(volumeObject('web', {}, { Driver: 'other' }));
    expect(sent.map(({ member }) => member)).toEqual(['InterfacesAdded', 'InterfacesRemoved', 'InterfacesAdded']);
  });

  it('tells only what is different, and never what is constant', async () => {
    const values: Record<string, unknown> = { Containers: ['/a'] };
    tree.add(volumeObject('web', {}, values));
    sent.length = 0;
    tree.changed(path);
    await settle();
    values['Name'] = 'renamed';
    tree.changed(path);
    await settle();
    expect(sent).toEqual([]);
    values['Containers'] = ['/a', '/b'];
    tree.changed(path);
    tree.changed(path);
    await settle();
    expect(sent.map(short)).toEqual([
      [
        path,
        'PropertiesChanged',
        interfaceName('Volume'),
        { Containers: { signature: 'ao', value: ['/a', '/b'] } },
        [],
      ],
    ]);
  });

  it('tells names alone of what is only invalidated', async () => {
    const values: Record<string, unknown> = { Details: {}, State: 'running' };
    tree.add(jobObject(values));
    sent.length = 0;
    values['Details'] = { Image: { signature: 's', value: 'x' } };
    values['Progress'] = 0.5;
    tree.changed(pathOf('job', '1'));
    await settle();
    expect(sent.map(({ body }) => body)).toEqual([[interfaceName('Job'), {}, ['Details']]]);
  });

  it('announces ten times a second at most, and the last always', async () => {
    const values: Record<string, unknown> = { Containers: [] };
    tree.add(volumeObject('web', {}, values));
    sent.length = 0;
    for (let turn = 0; turn <= 100; turn++) {
      values['Containers'] = [`/c${String(turn)}`];
      tree.changed(path);
      await clock.advance(10);
    }
    await clock.advance(100);
    expect(sent.length).toBeGreaterThanOrEqual(10);
    expect(sent.length).toBeLessThanOrEqual(12);
    expect(sent.at(-1)?.body[1]).toEqual({ Containers: { signature: 'ao', value: ['/c100'] } });
    expect(clock.pendingCount).toBe(0);
  });

  it('flushes what waits at once when told, and before a signal of the object', async () => {
    const values: Record<string, unknown> = { Containers: [] };
    tree.add(volumeObject('web', {}, values));
    tree.add(jobObject({}));
    sent.length = 0;
    for (const container of ['/a', '/b', '/c']) {
      values['Containers'] = [container];
      tree.changed(path);
      tree.flush();
    }
    expect(sent).toHaveLength(3);
    const destination = { name: ':1.5', isHere: true };
    const log = (): void =>
      tree.emit(pathOf('job', '1'), interfaceName('Job'), 'Log', [6, Buffer.from('x')], { destination });
    log();
    expect(sent.at(-1)).toMatchObject({ member: 'Log', destination: ':1.5', body: [6, Buffer.from('x')] });
    destination.isHere = false;
    log();
    expect(sent).toHaveLength(4);
    expect(clock.pendingCount).toBe(0);
  });

  it('announces before a signal what need not wait, and keeps to the limit when signals storm', () => {
    const values: Record<string, unknown> = {};
    const at = pathOf('job', '1');
    tree.add(jobObject(values));
    sent.length = 0;
    for (let turn = 0; turn < 50; turn++) {
      values['Phase'] = `layer ${String(turn)}`;
      tree.changed(at);
      tree.emit(at, interfaceName('Job'), 'Log', [6, Buffer.from('x')]);
    }
    expect(sent.slice(0, 2).map(({ member }) => member)).toEqual(['PropertiesChanged', 'Log']);
    expect(sent.filter(({ member }) => member === 'PropertiesChanged')).toHaveLength(1);
    tree.flush();
    expect(sent.at(-1)?.body[1]).toEqual({ Phase: { signature: 's', value: 'layer 49' } });
  });

  it('keeps still without a bus, and does not tell later what nobody can have seen', async () => {
    const values: Record<string, unknown> = { Containers: [] };
    tree.connect(null);
    tree.add(volumeObject('web', {}, values));
    values['Containers'] = ['/a'];
    tree.changed(path);
    await settle();
    tree.connect((message) => void sent.push(asReceived(message)));
    tree.changed(path);
    await settle();
    expect(sent).toEqual([]);
    expect(managed()).toMatchObject({ [path]: { [interfaceName('Volume')]: { Containers: { value: ['/a'] } } } });
  });
});

describe('what is wrong', () => {
  it('refuses objects that lack a method, have a bad path or an unknown interface', () => {
    const { interfaces } = volumeObject('web');
    expect(() => tree.add({ path: '/a//b', interfaces })).toThrow('no object path');
    expect(() => tree.add({ path, interfaces: [{ ...interfaces[0]!, methods: {} }] })).toThrow(
      'Remove is not implemented',
    );
    expect(() => tree.add({ path, interfaces: [{ ...interfaces[0]!, name: 'org.example.X' }] })).toThrow(
      'no interface',
    );
    expect(sent).toEqual([]);
    tree.add(volumeObject('web'));
    expect(() => tree.emit(path, interfaceName('Volume'), 'Nothing', [])).toThrow('no signal');
  });

  it('sends no signal of an object that has gone, and logs one whose values cannot be sent', () => {
    tree.emit(pathOf('job', '1'), interfaceName('Job'), 'Log', [6, Buffer.from('x')]);
    tree.add(jobObject({}));
    sent.length = 0;
    tree.emit(pathOf('job', '1'), interfaceName('Job'), 'Progress', ['much', 1, 2, 'a\0b']);
    expect(sent).toEqual([]);
    expect(logged).toEqual(['a D-Bus signal could not be sent']);
  });

  it('keeps what an object said when it can say no more, and harms nobody else', async () => {
    const object = volumeObject('web', {}, { Containers: ['/a'] });
    let isBroken = false;
    const properties = (): Readonly<Record<string, unknown>> => {
      if (isBroken) throw new TypeError('a slip');
      return object.interfaces[0]!.properties();
    };
    tree.add({ path, interfaces: [{ ...object.interfaces[0]!, properties }] });
    isBroken = true;
    tree.changed(path);
    await settle();
    expect(managed()).toMatchObject({ [path]: { [interfaceName('Volume')]: { Containers: { value: ['/a'] } } } });
    expect(logged).toEqual(['the properties of org.moored.Engine1.Volume could not be read']);
  });

  it('shows text that the bus does not take with the odd characters replaced', async () => {
    const values: Record<string, unknown> = { Mountpoint: 'a\0b', Driver: 'x\ud800' };
    tree.add(volumeObject('web', {}, values));
    const volume = interfaceName('Volume');
    const shown = { Mountpoint: { value: 'a\ufffdb' }, Driver: { value: 'x\ufffd' } };
    expect(managed()).toMatchObject({ [path]: { [volume]: shown } });
    expect(logged).toEqual([]);
  });

  it('leaves a property out that cannot be sent, and tells the log', async () => {
    const values: Record<string, unknown> = { Mountpoint: 1, Containers: ['/fine'] };
    tree.add(volumeObject('web', {}, values));
    const [, interfaces] = sent[0]!.body as [string, Record<string, Record<string, unknown>>];
    expect(Object.keys(interfaces[interfaceName('Volume')]!)).toEqual([
      'Name',
      'Driver',
      'CreatedAt',
      'Anonymous',
      'Containers',
    ]);
    expect(logged).toEqual([expect.stringContaining('Volume.Mountpoint')]);
    values['Containers'] = ['not a path'];
    tree.changed(path);
    await settle();
    expect(sent.at(-1)?.body).toEqual([interfaceName('Volume'), {}, ['Containers']]);
  });
});

describe('everything at once', () => {
  it('is byte for byte what the values say', () => {
    for (const name of ['web', 'data', 'Ünïcode']) tree.add(volumeObject(name, {}, { Containers: ['/a', '/b'] }));
    tree.add(jobObject({}));
    const expected = new Writer();
    expected.body('a{oa{sa{sv}}}', [managed()]);
    expect(tree.managedObjects().equals(expected.finish())).toBe(true);
  });

  it('has what is not announced as of the last change, and what is volatile as of now', () => {
    const values: Record<string, unknown> = { Progress: 0 };
    const [at, name] = [pathOf('job', '1'), interfaceName('Job')];
    const job = jobObject(values);
    tree.add(job);
    values['Progress'] = 0.25;
    tree.changed(at);
    expect(managed()).toMatchObject({ [at]: { [name]: { Progress: { value: 0.25 } } } });
    tree.add({ path: at, interfaces: [{ ...job.interfaces[0]!, isVolatile: true }] });
    values['Progress'] = 0.75;
    expect(managed()).toMatchObject({ [at]: { [name]: { Progress: { value: 0.75 } } } });
  });

  it('does not list what lies beside the root', () => {
    tree.add({ ...volumeObject('web'), path: '/org/example' });
    expect(managed()).toEqual({});
    expect(sent).toEqual([]);
  });

  it('names children, and forgets them', () => {
    tree.add(volumeObject('web'));
    tree.add(jobObject({}));
    expect(tree.childrenOf('/')).toEqual(['org']);
    expect(tree.childrenOf(ROOT)).toEqual(['job', 'volume']);
    expect(tree.childrenOf(`${ROOT}/volume`)).toEqual(['web']);
    tree.remove(path);
    expect(tree.childrenOf(ROOT)).toEqual(['job']);
    tree.remove(pathOf('job', '1'));
    expect(tree.childrenOf('/')).toEqual([]);
  });
});

function managed(): Record<string, Record<string, Record<string, unknown>>> {
  const message = { type: 'signal', path: '/', interface: 'a.b', member: 'C', signature: 'a{oa{sa{sv}}}' } as const;
  return asReceived({ ...message, bodyBytes: tree.managedObjects() }).body[0] as ReturnType<typeof managed>;
}

/** A job as introspection has it; every property there. */
function jobObject(values: Record<string, unknown>): ExportedObject {
  return {
    path: pathOf('job', '1'),
    interfaces: [
      {
        name: interfaceName('Job'),
        methods: { Cancel: () => [] },
        properties: () => ({
          Id: 1,
          Type: 'pull',
          State: 'running',
          Phase: '',
          Progress: 0,
          BytesDone: 0,
          BytesTotal: 0,
          Rate: 0,
          ExpectedEndTime: 0,
          StartedAt: 0,
          StartedByUID: 0,
          Objects: [],
          Cancelable: true,
          Result: '',
          ErrorName: '',
          ErrorMessage: '',
          Details: {},
          ...values,
        }),
      },
    ],
  };
}
