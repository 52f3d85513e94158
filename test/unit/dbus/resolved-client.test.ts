import { describe, expect, it } from 'vitest';
import { UnavailableError } from '../../../src/base/errors.ts';
import type { OutgoingCall } from '../../../src/dbus/bus/connection.ts';
import { BusError } from '../../../src/dbus/bus/errors.ts';
import type { IncomingMessage } from '../../../src/dbus/bus/wire/message.ts';
import { ResolvedClient, type ResolvedConnection } from '../../../src/dbus/resolved-client.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const WISH = { linkIndex: 7, address: '169.254.53.1', domain: 'docker' };
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** A bus with a resolver that does as it is told. */
class FakeBus {
  readonly calls: OutgoingCall[] = [];
  readonly reports: (string | null)[] = [];
  connections = 0;
  refusal: Error | null = null;
  connectFails = false;
  close: () => void = () => undefined;
  #owner: (message: IncomingMessage) => void = () => undefined;

  readonly clock = new FakeClock();
  readonly client = new ResolvedClient({
    clock: this.clock,
    connect: async (closed) => {
      this.connections += 1;
      if (this.connectFails) throw new UnavailableError('no bus');
      this.close = closed;
      return this.#connection();
    },
  });

  lead(): Disposable {
    return this.client.lead(WISH, (problem) => void this.reports.push(problem));
  }

  ownerChanged(owner: string): void {
    this.#owner({ body: ['org.freedesktop.resolve1', '', owner] } as unknown as IncomingMessage);
  }

  #connection(): ResolvedConnection {
    return {
      call: async (call) => {
        if (this.refusal !== null) throw this.refusal;
        this.calls.push(call);
        return [];
      },
      match: async (_rule, listener) => {
        this.#owner = listener;
        return { [Symbol.asyncDispose]: async () => undefined };
      },
      close: () => undefined,
    };
  }
}

describe('systemd-resolved', () => {
  it('is told who answers for the domain, and nothing of other names', async () => {
    const bus = new FakeBus();
    using _lead = bus.lead();
    await turn();
    expect(bus.reports).toEqual([null]);
    expect(bus.calls.map(({ member, body }) => [member, ...(body ?? [])])).toEqual([
      ['SetLinkDNSSEC', 7, 'no'],
      ['SetLinkDNSOverTLS', 7, 'no'],
      ['SetLinkLLMNR', 7, 'no'],
      ['SetLinkMulticastDNS', 7, 'no'],
      ['SetLinkDNS', 7, [[2, Buffer.from([169, 254, 53, 1])]]],
      ['SetLinkDomains', 7, [['docker', true]]],
      ['SetLinkDefaultRoute', 7, false],
    ]);
    expect(bus.calls.every(({ autoStart }) => autoStart === false)).toBe(true);
  });

  it('is told again when it was started anew, not when it ends', async () => {
    const bus = new FakeBus();
    using _lead = bus.lead();
    await turn();
    bus.ownerChanged('');
    await turn();
    expect(bus.reports).toEqual([null]);
    bus.ownerChanged(':1.9');
    await turn();
    expect(bus.reports).toEqual([null, null]);
  });

  it.each([
    [new BusError('org.freedesktop.DBus.Error.ServiceUnknown', 'nobody'), 'systemd-resolved does not run'],
    [new BusError('org.freedesktop.DBus.Error.AccessDenied', 'not you'), 'systemd-resolved: not you'],
    [new UnavailableError('too late'), 'too late'],
  ])('that does not take it is a problem: %s', async (refusal, problem) => {
    const bus = new FakeBus();
    bus.refusal = refusal;
    using _lead = bus.lead();
    await turn();
    expect(bus.reports).toEqual([problem]);
  });

  it('is told again when the bus has come back', async () => {
    const bus = new FakeBus();
    using _lead = bus.lead();
    await turn();
    bus.connectFails = true;
    bus.close();
    await turn();
    await bus.clock.advance(5_000);
    await turn();
    expect(bus.reports).toEqual([null, 'no bus']);
    bus.connectFails = false;
    await bus.clock.advance(5_000);
    await turn();
    expect(bus.reports).toEqual([null, 'no bus', null]);
  });

  it('is left alone afterwards', async () => {
    const bus = new FakeBus();
    bus.lead()[Symbol.dispose]();
    await turn();
    await bus.clock.advance(60_000);
    await turn();
    expect(bus.connections).toBe(1);
  });
});
