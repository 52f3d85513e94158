import { describe, expect, it } from 'vitest';
import { ConflictError, NotFoundError, UnavailableError } from '../../../src/base/errors.ts';
import type { OutgoingCall } from '../../../src/dbus/bus/connection.ts';
import { BusError } from '../../../src/dbus/bus/errors.ts';
import { variant } from '../../../src/dbus/bus/exported.ts';
import { SystemdClient, type SystemdConnection } from '../../../src/dbus/systemd-client.ts';
import { SystemClock } from '../../../src/base/clock.ts';

const NO_UNIT = new BusError('org.freedesktop.systemd1.NoSuchUnit', 'Unit x.scope not loaded.');

/** A connection that answers with what the script says; errors are thrown. */
class Scripted implements SystemdConnection {
  isOpen = true;
  readonly calls: OutgoingCall[] = [];
  readonly #answer: (call: OutgoingCall) => readonly unknown[] | Error;

  constructor(answer: (call: OutgoingCall) => readonly unknown[] | Error) {
    this.#answer = answer;
  }

  async call(call: OutgoingCall): Promise<readonly unknown[]> {
    this.calls.push(call);
    const answer = this.#answer(call);
    if (answer instanceof Error) throw answer;
    return answer;
  }

  close(): void {
    this.isOpen = false;
  }
}

const clientOf = (...connections: readonly Scripted[]): SystemdClient => {
  const left = [...connections];
  const connect = async (): Promise<SystemdConnection> => {
    const next = left.shift();
    if (next === undefined) throw new UnavailableError('no bus');
    return next;
  };
  return new SystemdClient({ connect, clock: new SystemClock() });
};

/** systemd with one scope, active after some looks. */
function systemd(looksUntilActive: number): Scripted {
  let looks = 0;
  return new Scripted(({ member, body = [] }) => {
    if (member === 'StartTransientUnit') return ['/job/1'];
    if (member === 'GetUnit') return looks++ < looksUntilActive ? NO_UNIT : ['/unit/x'];
    return [variant('s', body[1] === 'ActiveState' ? 'active' : '/system.slice/x.scope')];
  });
}

describe('systemd over the bus', () => {
  it('starts a scope and waits until it is there', async () => {
    const connection = systemd(2);
    const client = clientOf(connection);
    await expect(client.startScope({ name: 'x.scope', description: 'X', pids: [7] })).resolves.toBe(
      '/system.slice/x.scope',
    );
    const [start] = connection.calls;
    expect(start).toMatchObject({ member: 'StartTransientUnit', signature: 'ssa(sv)a(sa(sv))' });
    expect(start?.body?.slice(0, 2)).toEqual(['x.scope', 'fail']);
    expect(start?.body?.[2]).toEqual(expect.arrayContaining([['PIDs', variant('au', [7])]]));
  });

  it('knows no control group of a unit that is not there, or not active', async () => {
    await expect(clientOf(new Scripted(() => NO_UNIT)).controlGroupOf('x.scope')).resolves.toBeNull();
    const ended = new Scripted(({ member }) => (member === 'GetUnit' ? ['/unit/x'] : [variant('s', 'failed')]));
    await expect(clientOf(ended).controlGroupOf('x.scope')).resolves.toBeNull();
  });

  it('knows whether the host goes down', async () => {
    const states = ['running', 'stopping'];
    const connection = new Scripted(() => [variant('s', states.shift())]);
    using client = clientOf(connection);
    expect([await client.isHostEnding(), await client.isHostEnding()]).toEqual([false, true]);
    expect(connection.calls[0]).toMatchObject({
      path: '/org/freedesktop/systemd1',
      member: 'Get',
      body: ['org.freedesktop.systemd1.Manager', 'SystemState'],
    });
  });

  it('turns answers into errors of the engine', async () => {
    const exists = new Scripted(() => new BusError('org.freedesktop.systemd1.UnitExists', 'Unit exists.'));
    await expect(clientOf(exists).startScope({ name: 'x.scope', description: '', pids: [1] })).rejects.toThrow(
      ConflictError,
    );
    await expect(clientOf(new Scripted(() => NO_UNIT)).describe('x.scope', 'X')).rejects.toThrow(NotFoundError);
    const denied = new Scripted(() => new BusError('org.freedesktop.DBus.Error.AccessDenied', 'no'));
    await expect(clientOf(denied).describe('x.scope', 'X')).rejects.toThrow('systemd: no');
    await expect(clientOf().describe('x.scope', 'X')).rejects.toThrow(UnavailableError);
  });

  it('connects once, and anew when the bus has gone', async () => {
    const [first, second] = [new Scripted(() => []), new Scripted(() => [])];
    using client = clientOf(first, second);
    await client.describe('x.scope', 'A');
    await client.describe('x.scope', 'B');
    first.isOpen = false;
    await client.describe('x.scope', 'C');
    expect([first.calls.length, second.calls.length]).toEqual([2, 1]);
  });

  it('connects once for calls that begin together', async () => {
    const [first, second] = [new Scripted(() => []), new Scripted(() => [])];
    using client = clientOf(first, second);
    await Promise.all([client.describe('x.scope', 'A'), client.describe('y.scope', 'B')]);
    expect([first.calls.length, second.calls.length]).toEqual([2, 0]);
  });
});
