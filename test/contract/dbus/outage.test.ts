/** What goes wrong around us: no bus, the bus restarted, the name taken, polkit away, asked in vain or restarted. */
import { openSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { BusConnection } from '../../../src/dbus/bus/connection.ts';
import type { Call, ExportedObject, Peer } from '../../../src/dbus/bus/exported.ts';
import { interfaceInfo } from '../../../src/dbus/introspection.ts';
import { CONFIG_PATH, interfaceName, namedPath, SERVICE } from '../../../src/dbus/names.ts';
import type { BareFront } from '../../support/bus-front.ts';
import { startBareFront } from '../../support/bus-front.ts';
import { PATIENCE } from '../../support/patience.ts';
import { PlainClient, PolkitStandIn, PrivateBus, whyNoBus } from '../../support/private-bus.ts';
import { volumeObject } from '../../support/volume-object.ts';

const VOLUME = interfaceName('Volume');
const path = namedPath('volume', 'web');
const isRoot = process.getuid?.() === 0;
const NOBODY = 65534;

describe.skipIf(whyNoBus !== null)(`outages${whyNoBus === null ? '' : ` (skipped: ${whyNoBus})`}`, () => {
  let bus: PrivateBus;
  let front: BareFront | null = null;

  beforeEach(async () => {
    bus = await PrivateBus.start();
  });
  afterEach(async () => {
    await front?.[Symbol.asyncDispose]();
    front = null;
    await bus[Symbol.asyncDispose]();
  });

  const start = async (): Promise<BareFront> => {
    front = await startBareFront(bus.address);
    front.tree.add(volumeObject('web'));
    return front;
  };
  const usage = { destination: SERVICE, path, interface: VOLUME, member: 'GetUsage' } as const;

  it('waits for a bus that is not there yet', async () => {
    await bus.halt();
    const { log } = await start();
    expect(log.filter(({ level }) => level === 'warn')).toHaveLength(1);
    expect(() => front?.session.connection).toThrow('no connection to the system bus');
    await bus.resume();
    const client = await bus.connect();
    await vi.waitFor(async () => expect(await client.call(usage)).toEqual([1n, 2]), PATIENCE);
    expect(log.filter(({ level }) => level === 'warn')).toHaveLength(1);
  });

  it('keeps no connection on which it may not listen', async () => {
    const rule = 'send_interface="org.freedesktop.DBus" send_member="AddMatch"';
    await using strict = await PrivateBus.start({ policy: `<deny ${rule}/>` });
    const client = await strict.connect();
    front = await startBareFront(strict.address);
    expect(front.log).toMatchObject([{ level: 'warn', message: expect.stringContaining('no D-Bus interface yet') }]);
    await vi.waitFor(async () => {
      const [names] = (await client.callBus('ListNames', '', [])) as readonly [readonly string[]];
      expect(names.filter((name) => name.startsWith(':'))).toEqual([client.uniqueName]);
    }, PATIENCE);
  });

  it('comes back when the bus is restarted, with all objects; calls under way end', async () => {
    const { tree, log, dispatcher } = await start();
    const reasons: unknown[] = [];
    tree.add(
      volumeObject('slow', {
        Inspect: ({ signal }) =>
          new Promise((resolve) => {
            signal.addEventListener('abort', () => {
              reasons.push(signal.reason);
              resolve([]);
            });
          }),
      }),
    );
    const first = await bus.connect();
    const lost = expect(
      first.call({ ...usage, path: namedPath('volume', 'slow'), member: 'Inspect' }),
    ).rejects.toThrow();
    await vi.waitFor(() => expect(dispatcher.callCount).toBe(1), PATIENCE);
    const outgoing = front?.session.connection.callBus('GetNameOwner', 's', [SERVICE]).catch((error: unknown) => error);
    await bus.halt();
    await lost;
    await outgoing;
    await vi.waitFor(() => expect(reasons).toMatchObject([{ busName: `${SERVICE}.Error.Cancelled` }]), PATIENCE);
    await vi.waitFor(() => expect(() => front?.session.connection).toThrow('no connection'), PATIENCE);
    // Life goes on without a bus.
    tree.add(volumeObject('later'));
    tree.changed(path);
    await bus.resume();
    const client = await bus.connect();
    await vi.waitFor(async () => expect(await client.call(usage)).toEqual([1n, 2]), PATIENCE);
    expect(await client.call({ ...usage, path: namedPath('volume', 'later') })).toEqual([1n, 2]);
    expect(log.map(({ message }) => message)).toContain('the connection to the system bus is lost; connecting again');
  });

  describe('a signal for one caller', () => {
    const CHANGED = { sender: SERVICE, interface: interfaceName('Config'), member: 'Changed' } as const;
    const heard: string[] = [];
    const listen = (who: string, client: BusConnection): Promise<AsyncDisposable> =>
      client.match(CHANGED, ({ body }) => heard.push(`${who} ${String(body[1])}`));

    /** Sends one to whoever has called first. */
    const startTelling = async (): Promise<(revision: string) => void> => {
      heard.length = 0;
      const { tree } = await start();
      tree.add(configObject());
      let destination: Peer | null = null;
      const GetUsage = async ({ caller }: Call) => {
        destination ??= caller;
        return [1n, 2];
      };
      tree.add(volumeObject('web', { GetUsage }));
      return (revision) => {
        if (destination === null) expect.fail('nobody has called');
        tree.emit(CONFIG_PATH, CHANGED.interface, CHANGED.member, [[], revision, false], { destination });
      };
    };

    it('goes to that one alone, and to nobody when it has left', async () => {
      const tell = await startTelling();
      const [caller, other] = [await bus.connect(), await bus.connect()];
      await listen('caller', caller);
      await listen('other', other);
      await caller.call(usage);
      tell('called');
      await caller.call(usage);
      const { uniqueName } = caller;
      caller.close();
      await vi.waitFor(async () => {
        await expect(other.callBus('GetNameOwner', 's', [uniqueName])).rejects.toThrow();
      }, PATIENCE);
      await other.call(usage);
      tell('left');
      await other.call(usage);
      expect(heard).toEqual(['caller called']);
    });

    it('never goes to another with the same name on a new bus', async () => {
      const tell = await startTelling();
      const caller = await bus.connect();
      await caller.call(usage);
      const numberOf = ({ uniqueName }: BusConnection): number => Number(uniqueName.split('.').at(-1));
      let namesake = caller;
      // Whenever the front itself has got that name on the new bus, there is another bus.
      while (namesake === caller || namesake.uniqueName !== caller.uniqueName) {
        await bus.halt();
        await vi.waitFor(() => expect(() => front?.session.connection).toThrow('no connection'), PATIENCE);
        await bus.resume();
        do namesake = await bus.connect();
        while (numberOf(namesake) < numberOf(caller));
      }
      await listen('namesake', namesake);
      await vi.waitFor(async () => expect(await namesake.call(usage)).toEqual([1n, 2]), PATIENCE);
      tell('secret');
      await namesake.call(usage);
      expect(heard).toEqual([]);
    });
  });

  it('waits for its name while another process has it', async () => {
    const other = await bus.connect();
    await other.callBus('RequestName', 'su', [SERVICE, 0]);
    const { log } = await start();
    expect(log.filter(({ level }) => level === 'error')).toMatchObject([
      { message: expect.stringMatching(`taken by process ${String(process.pid)}`) },
    ]);
    other.close();
    const client = await bus.connect();
    await vi.waitFor(async () => expect(await client.call(usage)).toEqual([1n, 2]), PATIENCE);
    expect(log.map(({ message }) => message)).toContain(`the bus name ${SERVICE} is ours now`);
  });

  it('answers calls under way when it ends', async () => {
    const { tree, dispatcher } = await start();
    tree.add(
      volumeObject('slow', {
        Inspect: ({ signal }) =>
          new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
      }),
    );
    const client = await bus.connect();
    const call = client.call({ ...usage, path: namedPath('volume', 'slow'), member: 'Inspect' });
    const rejected = expect(call).rejects.toMatchObject({ busName: `${SERVICE}.Error.ShuttingDown` });
    await vi.waitFor(() => expect(dispatcher.callCount).toBe(1), PATIENCE);
    await front?.[Symbol.asyncDispose]();
    await rejected;
    await expect(client.call({ ...usage, autoStart: false })).rejects.toMatchObject({
      busName: /NameHasNoOwner|ServiceUnknown/,
    });
  });

  // Some hundred megabytes are put into messages: on a busy machine that takes its time.
  it('leaves a bus that takes nothing, and comes back when it does', { timeout: 90_000 }, async () => {
    const values: Record<string, unknown> = {};
    const { tree, log } = await start();
    tree.add(volumeObject('big', {}, values));
    process.kill(bus.pid, 'SIGSTOP');
    const paths = Array.from(
      { length: 20_000 },
      (_each, index) => `/org/moored/Engine1/container/${'0'.repeat(30)}${String(index)}`,
    );
    for (let turn = 0; turn < 60; turn++) {
      values['Containers'] = [...paths, `/turn${String(turn)}`];
      tree.changed(namedPath('volume', 'big'));
      tree.flush();
    }
    const refusal = 'the bus does not take what is sent to it';
    await vi.waitFor(() => expect(log.map(({ fields }) => fields['error'])).toContain(refusal), PATIENCE);
    process.kill(bus.pid, 'SIGCONT');
    const client = await bus.connect();
    await vi.waitFor(async () => expect(await client.call(usage)).toEqual([1n, 2]), PATIENCE);
  });

  it('logs a descriptor that the bus could not deliver, and what helps', async () => {
    const { tree, log } = await start();
    tree.add(volumeObject('out', { Export: async () => [openSync('/dev/zero', 'r')] }));
    // A client that has not agreed on descriptors, as ruby-dbus: the bus delivers nothing to it, and tells only us.
    const client = await PlainClient.connect(bus.socketPath);
    client.call(namedPath('volume', 'out'), VOLUME, 'Export');
    await vi.waitFor(
      () =>
        expect(log).toContainEqual(
          expect.objectContaining({
            fields: expect.objectContaining({ hint: expect.stringContaining('descriptors') }),
          }),
        ),
      PATIENCE,
    );
    client.close();
  });
});

/** An object with a signal. */
function configObject(): ExportedObject {
  const name = interfaceName('Config');
  const methods = Object.fromEntries([...interfaceInfo(name).methods.keys()].map((method) => [method, () => []]));
  return {
    path: CONFIG_PATH,
    interfaces: [
      { name, methods, properties: () => ({ Files: [], Revision: '', PendingRestart: [], Writable: true }) },
    ],
  };
}

describe.skipIf(whyNoBus !== null || !isRoot)(
  `polkit, asked${whyNoBus === null && isRoot ? '' : ` (skipped: ${whyNoBus ?? 'needs root, to call as another user'})`}`,
  () => {
    let bus: PrivateBus;
    let front: BareFront;

    beforeEach(async () => {
      bus = await PrivateBus.start();
      front = await startBareFront(bus.address);
      front.tree.add(
        volumeObject('web', {
          Inspect: async ({ authorize }) => {
            await authorize('exec', { volume: 'web', extra: 'yes' });
            return ['{}'];
          },
        }),
      );
    });
    afterEach(async () => {
      await front[Symbol.asyncDispose]();
      await bus[Symbol.asyncDispose]();
    });

    const asNobody = (member: string, ...args: readonly string[]): Promise<string> =>
      bus.busctlAs(NOBODY, ...args, 'call', SERVICE, path, VOLUME, member);

    // busctl has words of its own for AccessDenied; gdbus shows name and text.
    const gdbus = (member: string): Promise<string> =>
      bus.run(NOBODY, 'gdbus', 'call', '--system', '-d', SERVICE, '-o', path, '-m', `${VOLUME}.${member}`);

    it('says who, what and about what, and obeys', async () => {
      using polkit = await PolkitStandIn.start(bus);
      expect(await asNobody('GetUsage')).toBe('tu 1 2\n');
      expect(polkit.questions).toMatchObject([
        {
          sender: expect.stringMatching(/^:1\./),
          action: `${SERVICE}.inspect`,
          details: { operation: 'GetUsage', volume: 'web' },
          flags: 1,
        },
      ]);
      polkit.answer = () => 'no';
      await expect(asNobody('GetUsage')).rejects.toThrow('Access denied');
    });

    it('asks again for what a method needs beyond its annotation', async () => {
      using polkit = await PolkitStandIn.start(bus);
      polkit.answer = ({ action }) => (action.endsWith('.exec') ? 'no' : 'yes');
      await expect(asNobody('Inspect')).rejects.toThrow('Access denied');
      expect(polkit.questions.map(({ action, details }) => [action, details])).toEqual([
        [`${SERVICE}.inspect`, { operation: 'Inspect', volume: 'web', first: 'undefined' }],
        [`${SERVICE}.exec`, { operation: 'Inspect', volume: 'web', extra: 'yes' }],
      ]);
    });

    it('lets polkit ask for a password only when the caller allows it', async () => {
      using polkit = await PolkitStandIn.start(bus);
      polkit.answer = () => 'challenge';
      await expect(asNobody('GetUsage', '--allow-interactive-authorization=no')).rejects.toThrow(
        `authentication is needed for ${SERVICE}.inspect`,
      );
      await expect(asNobody('GetUsage')).rejects.toThrow('Access denied');
      expect(polkit.questions.map(({ flags }) => flags)).toEqual([0, 1]);
    });

    it('never asks about root', async () => {
      using polkit = await PolkitStandIn.start(bus);
      polkit.answer = () => 'no';
      expect(await bus.busctl('call', SERVICE, path, VOLUME, 'GetUsage')).toBe('tu 1 2\n');
      expect(polkit.questions).toEqual([]);
    });

    it('takes the question back when the caller goes', async () => {
      using polkit = await PolkitStandIn.start(bus);
      polkit.answer = () => 'never';
      await expect(asNobody('GetUsage', '--timeout=1')).rejects.toThrow(/timed out/i);
      await vi.waitFor(() => {
        expect(polkit.cancelled).toHaveLength(1);
        expect(polkit.cancelled).toEqual(polkit.questions.map(({ cancellation }) => cancellation));
      }, PATIENCE);
      expect(front.dispatcher.callCount).toBe(0);
    });

    it('lets only root act while polkit is away, says so once, and asks when it is back', async () => {
      const text = /AccessDenied: polkit cannot be reached, so only root may do this \(org\.moored\.Engine1\.inspect\)/;
      await expect(gdbus('GetUsage')).rejects.toThrow(text);
      await expect(gdbus('GetUsage')).rejects.toThrow(text);
      expect(await bus.busctl('call', SERVICE, path, VOLUME, 'GetUsage')).toBe('tu 1 2\n');
      expect(front.log.filter(({ level }) => level === 'warn')).toHaveLength(1);
      const polkit = await PolkitStandIn.start(bus);
      expect(await asNobody('GetUsage')).toBe('tu 1 2\n');
      polkit[Symbol.dispose]();
    });

    it('asks the new polkit when the old one ends over the question', async () => {
      const old = await PolkitStandIn.start(bus);
      old.answer = () => 'never';
      const call = asNobody('GetUsage');
      await vi.waitFor(() => expect(old.questions).toHaveLength(1), PATIENCE);
      // The new one waits in the queue for the name, and gets it when the old one goes.
      const next = await PolkitStandIn.start(bus, { queue: true });
      old[Symbol.dispose]();
      expect(await call).toBe('tu 1 2\n');
      expect(next.questions).toHaveLength(1);
      next[Symbol.dispose]();
    });

    it('takes an error of polkit for a no', async () => {
      using polkit = await PolkitStandIn.start(bus);
      polkit.answer = () => 'error';
      await expect(gdbus('GetUsage')).rejects.toThrow(/AccessDenied: polkit refuses to judge .*: not registered/);
      expect(front.log.filter(({ level }) => level === 'error')).toHaveLength(1);
    });

    it('keeps setting the log level to root', async () => {
      using polkit = await PolkitStandIn.start(bus);
      const set = ['set-property', SERVICE, '/org/freedesktop/LogControl1', 'org.freedesktop.LogControl1', 'LogLevel'];
      await expect(bus.busctlAs(NOBODY, ...set, 's', 'debug')).rejects.toThrow('Access denied');
      expect(polkit.questions).toEqual([]);
    });
  },
);
