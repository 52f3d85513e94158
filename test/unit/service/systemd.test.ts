/** Inherited sockets, sd_notify and the watchdog, on a kernel in memory. */
import { describe, expect, it } from 'vitest';
import type { LogFields } from '../../../src/base/logger.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import { takeInheritedSockets } from '../../../src/service/activation.ts';
import { createNotifier } from '../../../src/service/notify.ts';
import { extendTimeouts, feedWatchdog } from '../../../src/service/watchdog.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeKernel } from '../../support/fake-kernel.ts';

describe('inherited sockets', () => {
  it('are taken over with their names, and hidden from programs', () => {
    const kernel = new FakeKernel();
    const env = { LISTEN_PID: '42', LISTEN_FDS: '3', LISTEN_FDNAMES: 'docker.socket:admin', PATH: '/bin' };
    expect(takeInheritedSockets(env, 42, kernel)).toEqual([
      { fd: 3, name: 'docker.socket' },
      { fd: 4, name: 'admin' },
      { fd: 5, name: 'unknown' },
    ]);
    expect(env).toEqual({ PATH: '/bin' });
    expect(kernel.argsOf('sockets.closeOnExec')).toEqual([[3], [4], [5]]);
  });

  it.each([
    ['no variables', {}],
    ['another process', { LISTEN_PID: '43', LISTEN_FDS: '1' }],
    ['no pid', { LISTEN_FDS: '1' }],
    ['no number', { LISTEN_PID: '42', LISTEN_FDS: 'x' }],
    ['none', { LISTEN_PID: '42', LISTEN_FDS: '0' }],
    ['nonsense', { LISTEN_PID: '42', LISTEN_FDS: '99999999' }],
  ])('%s: there are none', (_name, env: NodeJS.ProcessEnv) => {
    const kernel = new FakeKernel();
    expect(takeInheritedSockets(env, 42, kernel)).toEqual([]);
    expect(env).toEqual({});
    expect(kernel.calls).toEqual([]);
  });
});

describe('sd_notify', () => {
  it('sends one message for each word', () => {
    const kernel = new FakeKernel();
    const env = { NOTIFY_SOCKET: '@systemd' };
    const notifier = createNotifier(env, kernel, silentLogger);
    expect(env).toEqual({});
    notifier.status('Recovering\n20 containers');
    notifier.ready('3 containers running');
    notifier.reloading();
    notifier.watchdog();
    notifier.extendTimeout(30_000);
    notifier.stopping('Stopping');
    const texts = kernel.datagrams.map(([address, text]) => {
      expect(address).toBe('@systemd');
      return text;
    });
    expect(texts[0]).toBe('STATUS=Recovering; 20 containers');
    expect(texts[1]).toBe(`READY=1\nMAINPID=${String(process.pid)}\nSTATUS=3 containers running`);
    expect(texts[2]).toMatch(/^RELOADING=1\nMONOTONIC_USEC=\d+\nSTATUS=Reloading configuration$/);
    expect(texts.slice(3)).toEqual(['WATCHDOG=1', 'EXTEND_TIMEOUT_USEC=30000000', 'STOPPING=1\nSTATUS=Stopping']);
  });

  it.each([{}, { NOTIFY_SOCKET: '' }, { NOTIFY_SOCKET: 'vsock:2:1234' }, { NOTIFY_SOCKET: 'relative' }])(
    'says nothing for %j',
    (env: NodeJS.ProcessEnv) => {
      const kernel = new FakeKernel();
      const notifier = createNotifier(env, kernel, silentLogger);
      expect(notifier.active).toBe(false);
      notifier.ready('x');
      expect(kernel.calls).toEqual([]);
    },
  );

  it('goes on when the service manager is gone, and says so', () => {
    const kernel = new FakeKernel();
    const warnings: [string, LogFields | undefined][] = [];
    const logger = { ...silentLogger, warn: (text: string, fields?: LogFields) => void warnings.push([text, fields]) };
    const notifier = createNotifier({ NOTIFY_SOCKET: '/run/notify' }, kernel, logger);
    kernel.failOn('datagrams.send', 'ECONNREFUSED');
    notifier.watchdog();
    notifier.watchdog();
    expect(warnings).toEqual([
      [
        'the service manager could not be told',
        { what: 'WATCHDOG=1', reason: expect.stringContaining('ECONNREFUSED') },
      ],
    ]);
    expect(kernel.datagrams).toEqual([['/run/notify', 'WATCHDOG=1']]);
    kernel.failOn('sockets.openDatagrams', 'EMFILE');
    expect(createNotifier({ NOTIFY_SOCKET: '/run/notify' }, kernel, logger).active).toBe(false);
  });
});

describe('the watchdog', () => {
  function set(env: NodeJS.ProcessEnv) {
    const kernel = new FakeKernel();
    const clock = new FakeClock();
    const notifier = createNotifier({ NOTIFY_SOCKET: '/run/notify' }, kernel, silentLogger);
    return { kernel, clock, watch: feedWatchdog(env, 42, clock, notifier), count: () => kernel.datagrams.length };
  }

  it('is fed at half its time until it is let go', async () => {
    const env = { WATCHDOG_USEC: '4000000', WATCHDOG_PID: '42' };
    const { clock, watch, count } = set(env);
    expect(env).toEqual({});
    expect(count()).toBe(1);
    await clock.advance(1_999);
    expect(count()).toBe(1);
    await clock.advance(1);
    expect(count()).toBe(2);
    await clock.advance(2_000);
    expect(count()).toBe(3);
    watch[Symbol.dispose]();
    await clock.advance(10_000);
    expect(count()).toBe(3);
  });

  it.each([{}, { WATCHDOG_USEC: '4000000', WATCHDOG_PID: '7' }, { WATCHDOG_USEC: 'x' }, { WATCHDOG_USEC: '0' }])(
    'is not there for %j',
    async (env: NodeJS.ProcessEnv) => {
      const { clock, count } = set(env);
      await clock.advance(10_000);
      expect(count()).toBe(0);
      expect(env).toEqual({});
    },
  );

  it('systemd is asked for patience while work goes on, but not for ever', async () => {
    const kernel = new FakeKernel();
    const clock = new FakeClock();
    const notifier = createNotifier({ NOTIFY_SOCKET: '/run/notify' }, kernel, silentLogger);
    const work = extendTimeouts(clock, notifier);
    expect(kernel.datagrams).toEqual([['/run/notify', 'EXTEND_TIMEOUT_USEC=30000000']]);
    for (let turn = 0; turn < 400; turn++) await clock.advance(10_000);
    expect(kernel.datagrams).toHaveLength(360);
    work[Symbol.dispose]();
    using _silent = extendTimeouts(clock, createNotifier({}, kernel, silentLogger));
    await clock.advance(10_000);
    expect(kernel.datagrams).toHaveLength(360);
  });
});
