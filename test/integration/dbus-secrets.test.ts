/** Secrets over D-Bus: a real bus and a real engine. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BusConnection } from '../../src/dbus/bus/connection.ts';
import { variant } from '../../src/dbus/bus/exported.ts';
import { MANAGER_PATH, SERVICE } from '../../src/dbus/names.ts';
import { obstacleToContainers } from '../support/bundle.ts';
import { TestEngine, until } from '../support/engine.ts';
import { PrivateBus, whyNoBus } from '../support/private-bus.ts';

const obstacle = whyNoBus ?? obstacleToContainers();
const WORD = 'Over-The-Bus-1234';

describe.skipIf(obstacle !== null)(`secrets on the bus${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  let bus: PrivateBus;
  let engine: TestEngine;
  let client: BusConnection;
  const events: string[] = [];

  beforeAll(async () => {
    bus = await PrivateBus.start();
    engine = await TestEngine.startOnBus(bus.address, '--bridge', 'none');
    await engine.importBusybox();
    client = await bus.connect();
    const interfaceName = `${SERVICE}.Manager`;
    await client.match({ sender: SERVICE, interface: interfaceName, member: 'Event' }, ({ body }) => {
      events.push(JSON.stringify(body, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)));
    });
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
    await bus[Symbol.asyncDispose]();
  });

  const manager = (member: string, signature: string, ...body: readonly unknown[]): Promise<readonly unknown[]> =>
    client.call({
      destination: SERVICE,
      path: MANAGER_PATH,
      interface: `${SERVICE}.Manager`,
      member,
      signature,
      body,
    });

  it('are made, given to a container, changed and removed', async () => {
    const [id] = await manager('CreateSecret', 'saya{ss}', 'pw', Buffer.from(WORD), { team: 'a' });
    expect(id).toMatch(/^[0-9a-z]{25}$/);
    const config = { Command: variant('as', ['cat', '/opt/pw']), Secrets: variant('a{ss}', { pw: 'target=/opt/pw' }) };
    await manager('CreateContainer', 'ssa{sv}', 'reader', 'busybox', config);
    await expect(manager('RemoveSecret', 's', 'pw')).rejects.toMatchObject({
      busName: `${SERVICE}.Error.InUse`,
      message: "secret 'pw' is in use by the following container: reader",
    });
    expect(await engine.dockerOk('start', '-a', 'reader')).toBe(WORD);
    expect(await manager('SetSecretData', 'say', 'pw', Buffer.from('next'))).toEqual([2n]);
    expect(await engine.dockerOk('start', '-a', 'reader')).toBe('next');
    expect(await manager('SetSecretLabels', 'sa{ss}', String(id), { team: 'b' })).toEqual([3n]);
    const [[row]] = (await manager('ListSecrets', '')) as [[readonly unknown[]]];
    expect([row[0], row[1], row[4], row[5]]).toEqual([id, 'pw', 3n, { team: 'b' }]);
    await engine.dockerOk('rm', 'reader');
    await manager('RemoveSecret', 's', 'pw');
    expect(await manager('ListSecrets', '')).toEqual([[]]);
    await until(() => events.some((event) => event.includes('"secret","remove"')));
    expect(events.join('\n')).not.toContain(WORD);
  });

  it('are refused by name', async () => {
    const refused = async (name: string, call: Promise<unknown>) =>
      expect(call).rejects.toMatchObject({ busName: `${SERVICE}.Error.${name}` });
    await refused('NoSuchSecret', manager('SetSecretData', 'say', 'nope', Buffer.from('x')));
    await refused('NoSuchSecret', manager('RemoveSecret', 's', 'nope'));
    await manager('CreateSecret', 'saya{ss}', 'twice', Buffer.from('x'), {});
    await refused('NameInUse', manager('CreateSecret', 'saya{ss}', 'twice', Buffer.from('y'), {}));
    await expect(manager('CreateSecret', 'saya{ss}', 'empty', Buffer.alloc(0), {})).rejects.toMatchObject({
      busName: 'org.freedesktop.DBus.Error.InvalidArgs',
    });
  });
});
