import { describe, expect, it } from 'vitest';
import { NotFoundError, UnavailableError } from '../../../src/base/errors.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import type { OutgoingCall } from '../../../src/dbus/bus/connection.ts';
import { BusError } from '../../../src/dbus/bus/errors.ts';
import type { MatchRule } from '../../../src/dbus/bus/match-rule.ts';
import { FirewalldClient, type FirewalldConnection } from '../../../src/dbus/firewalld-client.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const failed = (text: string): BusError => new BusError('org.fedoraproject.FirewallD1.Exception', text);

/** A bus with or without a firewalld, whose answers a test changes. */
class FakeBus implements FirewalldConnection {
  isOpen = true;
  isOwned = true;
  readonly calls: string[] = [];
  readonly answers = new Map<string, readonly unknown[] | Error>([
    ['getZones', [['public', 'docker']]],
    ['getPolicies', [['docker-forwarding']]],
    ['getZoneOfInterface', ['docker']],
  ]);
  readonly #listeners: (readonly [MatchRule, (message: { readonly body: readonly unknown[] }) => void])[] = [];

  async call({ member, body = [], autoStart }: OutgoingCall): Promise<readonly unknown[]> {
    expect(autoStart).toBe(false);
    this.calls.push([member, ...body.filter((part) => typeof part === 'string')].join(' '));
    const answer = this.answers.get(member) ?? [];
    if (answer instanceof Error) throw answer;
    return answer;
  }

  async callBus(): Promise<readonly unknown[]> {
    return [this.isOwned];
  }

  async match(
    rule: MatchRule,
    listener: (message: { readonly body: readonly unknown[] }) => void,
  ): Promise<AsyncDisposable> {
    this.#listeners.push([rule, listener]);
    return { [Symbol.asyncDispose]: () => Promise.resolve() };
  }

  signal(member: string, ...body: readonly unknown[]): void {
    for (const [rule, listener] of this.#listeners) if (rule.member === member) listener({ body });
  }

  close(): void {
    this.isOpen = false;
  }
}

function fixture() {
  const bus = new FakeBus();
  const clock = new FakeClock();
  let drop = (): void => undefined;
  const connect = async (onClosed: () => void): Promise<FirewalldConnection> => {
    drop = onClosed;
    return bus;
  };
  const client = new FirewalldClient({ connect, clock, logger: silentLogger });
  return { bus, clock, client, drop: () => drop() };
}

describe('firewalld over the bus', () => {
  it('puts a bridge into the zone docker, which is there', async () => {
    const { bus, client } = fixture();
    await client.addInterface('docker0', null);
    expect(bus.calls).toEqual(['getZones', 'getPolicies', 'changeZoneOfInterface docker docker0']);
    await client.removeInterface('docker0');
    expect(bus.calls.slice(3)).toEqual(['getZoneOfInterface docker0', 'removeInterface docker docker0']);
  });

  it('makes zone and policy where they are missing, and has them read, also when the files have them', async () => {
    const { bus, client } = fixture();
    bus.answers.set('getZones', [['public']]).set('getPolicies', [[]]);
    bus.answers.set('addZone2', failed("NAME_CONFLICT: new_zone(): 'docker'"));
    await client.addInterface('docker0', null);
    expect(bus.calls.slice(0, 5)).toEqual([
      'getZones',
      'addZone2 docker',
      'getPolicies',
      'addPolicy docker-forwarding',
      'reload',
    ]);
  });

  it('does without policies where firewalld is too old for them', async () => {
    const { bus, client } = fixture();
    bus.answers.set('getPolicies', new BusError('org.freedesktop.DBus.Error.UnknownMethod', 'no such method'));
    await client.addInterface('docker0', null);
    expect(bus.calls.at(-1)).toBe('changeZoneOfInterface docker docker0');
  });

  it('refuses a zone that is not there, and remembers it', async () => {
    const { bus, client } = fixture();
    bus.answers.set('changeZoneOfInterface', failed('INVALID_ZONE: nowhere'));
    await expect(client.addInterface('br0', 'nowhere')).rejects.toThrow(NotFoundError);
    expect(client.presence.missingZones).toEqual(['nowhere']);
    bus.answers.delete('changeZoneOfInterface');
    await client.addInterface('br0', 'nowhere');
    expect(client.presence.missingZones).toEqual([]);
  });

  it('leaves one that hangs alone for a while', async () => {
    const { bus, client, clock } = fixture();
    bus.answers.set('getZones', new BusError('org.freedesktop.DBus.Error.Timeout', 'did not answer in time'));
    await expect(client.addInterface('br0', null)).rejects.toThrow(UnavailableError);
    expect(await client.isRunning()).toBe(false);
    await expect(client.addInterface('br0', 'public')).rejects.toThrow('firewalld does not answer');
    expect(bus.calls).toEqual(['getZones']);
    await clock.advance(31_000);
    expect(await client.isRunning()).toBe(true);
  });

  it('tells of reloads, of its coming after its first answer, and of its end', async () => {
    const { bus, client } = fixture();
    const told: number[] = [];
    using _listening = client.onReloaded(() => told.push(bus.calls.length));
    await client.isRunning();
    bus.signal('Reloaded');
    expect([told, client.presence.reloadedAt]).toEqual([[0], expect.any(BigInt)]);
    bus.signal('NameOwnerChanged', 'org.fedoraproject.FirewallD1', ':1.5', '');
    expect([told.length, client.presence.isRunning]).toEqual([2, false]);
    bus.signal('NameOwnerChanged', 'org.fedoraproject.FirewallD1', '', ':1.6');
    await expect.poll(() => told).toEqual([0, 0, 1]);
    expect(bus.calls).toEqual(['getDefaultZone']);
  });

  it('connects again when the bus was away, and tells then', async () => {
    const { client, clock, drop } = fixture();
    let told = 0;
    using _listening = client.onReloaded(() => (told += 1));
    await client.isRunning();
    drop();
    expect(client.presence.isRunning).toBe(false);
    await clock.advance(1_000);
    await expect.poll(() => told).toBe(1);
    expect(client.presence.isRunning).toBe(true);
  });
});
