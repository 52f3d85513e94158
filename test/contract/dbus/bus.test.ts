/** The front on a real dbus-daemon: connection, dispatcher, tree, standard interfaces. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SystemClock } from '../../../src/base/clock.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import type { BusFront } from '../../../src/dbus/index.ts';
import { startBus } from '../../../src/dbus/index.ts';
import { createDescriptorCalls } from '../../../src/engine/kernel/linux/descriptors.ts';
import { PrivateBus, whyNoBus } from '../../support/private-bus.ts';

const descriptors = createDescriptorCalls();

describe.skipIf(whyNoBus !== null)(`D-Bus front${whyNoBus === null ? '' : ` (skipped: ${whyNoBus})`}`, () => {
  let bus: PrivateBus;
  let front: BusFront;

  beforeAll(async () => {
    bus = await PrivateBus.start();
    let level = 'info';
    front = await startBus({
      clock: new SystemClock(),
      logger: silentLogger,
      connect: (address) => descriptors.connect(address),
      descriptors,
      address: bus.address,
      logControl: {
        level: () => level as 'info',
        setLevel: (next) => void (level = next),
        target: 'journal',
        identifier: 'docker',
      },
    });
  });
  afterAll(async () => {
    await front.close();
    await bus[Symbol.asyncDispose]();
  });

  it('shows its tree to busctl', async () => {
    expect(await bus.busctl('--list', 'tree', 'org.moored.Engine1')).toContain('/org/freedesktop/LogControl1\n');
  });

  it('sets the log level as systemctl service-log-level does', async () => {
    const object = ['org.moored.Engine1', '/org/freedesktop/LogControl1', 'org.freedesktop.LogControl1'];
    await bus.busctl('set-property', ...object, 'LogLevel', 's', 'debug');
    expect(await bus.busctl('get-property', ...object, 'LogLevel')).toBe('s "debug"\n');
    await expect(bus.busctl('set-property', ...object, 'LogTarget', 's', 'console')).rejects.toThrow('read-only');
    await expect(bus.busctl('set-property', ...object, 'LogLevel', 's', 'loud')).rejects.toThrow('log levels are');
  });

  it('is introspected by busctl', async () => {
    const shown = await bus.busctl('introspect', 'org.moored.Engine1', '/org/freedesktop/LogControl1');
    expect(shown).toMatch(/\.LogLevel +property +s +"\w+" +writable/);
    expect(shown).toMatch(/\.Introspect +method +- +s +-/);
  });
});
