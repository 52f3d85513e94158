import { closeSync, openSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { silentLogger } from '../../../src/base/logger.ts';
import type { Fd } from '../../../src/engine/kernel/kernel.ts';
import { isKept, ManagerKeptSockets } from '../../../src/service/keeping.ts';
import { createNotifier } from '../../../src/service/notify.ts';
import { FakeKernel } from '../../support/fake-kernel.ts';

const recorded = () => {
  const said: string[] = [];
  const notifier = {
    keep: (name: string, fd: Fd) => void said.push(`keep ${name} ${String(fd)}`),
    forget: (name: string) => void said.push(`forget ${name}`),
  };
  return { said, notifier };
};

describe('kept sockets', () => {
  it('are told from those of docker.socket', () => {
    expect(['docker', 'unknown', 'kept-names-1-53'].map((name) => isKept({ fd: 3, name }))).toEqual([
      false,
      false,
      true,
    ]);
  });

  it('are taken once, by how their name begins', () => {
    const { said, notifier } = recorded();
    const inherited = [
      { fd: 3, name: 'docker' },
      { fd: 4, name: 'kept-names-77-40000' },
    ];
    const kept = new ManagerKeptSockets(inherited, notifier);
    expect(kept.take('docker')).toBeNull();
    expect(kept.take('names-7-')).toBeNull();
    expect(kept.take('names-77-')).toEqual({ name: 'names-77-40000', fd: 4 });
    expect(kept.take('names-77-')).toBeNull();
    kept.keep('names-77-40000', 4 as Fd);
    kept.forget('names-77-40000');
    kept.forgetRest();
    expect(said).toEqual(['keep kept-names-77-40000 4', 'forget kept-names-77-40000']);
  });

  it('that nobody takes are closed, here and with the service manager', () => {
    const { said, notifier } = recorded();
    const fd = openSync('/dev/null', 'r');
    const kept = new ManagerKeptSockets([{ fd, name: 'kept-names-78-1' }], notifier);
    kept.forgetRest();
    kept.forgetRest();
    expect(said).toEqual(['forget kept-names-78-1']);
    expect(() => closeSync(fd)).toThrow('EBADF');
  });
});

describe('the service manager', () => {
  it('keeps a descriptor until it is told to forget it', () => {
    const kernel = new FakeKernel();
    const notifier = createNotifier({ NOTIFY_SOCKET: '/run/notify' }, kernel, silentLogger);
    notifier.keep('kept-names-1-2', 9 as Fd);
    notifier.forget('kept-names-1-2');
    expect(kernel.datagrams).toEqual([
      ['/run/notify', 'FDSTORE=1\nFDPOLL=0\nFDNAME=kept-names-1-2'],
      ['/run/notify', 'FDSTOREREMOVE=1\nFDNAME=kept-names-1-2'],
    ]);
  });

  it('that is not there keeps nothing', () => {
    const kernel = new FakeKernel();
    createNotifier({}, kernel, silentLogger).keep('kept-names-1-2', 9 as Fd);
    expect(kernel.datagrams).toEqual([]);
  });
});
