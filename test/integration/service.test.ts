/** A daemon's beginning and end without systemd: sockets and words passed by hand, signals, locks, mistakes. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, openSync, closeSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DatagramPeer } from '../support/datagram-peer.ts';
import { StreamListener } from '../support/stream-listener.ts';
import { run, TestEngine, until } from '../support/engine.ts';
import { MOORED } from '../support/program.ts';

const isRoot = process.getuid?.() === 0;

describe.skipIf(!isRoot)(`a daemon's life${isRoot ? '' : ' (skipped: an engine needs root)'}`, () => {
  let directory = '';
  const at = (name: string): string => join(directory, name);
  const flags = (...more: readonly string[]): readonly string[] => [
    ...['--data-root', at('data'), '--exec-root', at('exec'), '-p', at('pid'), '--bridge', 'none', '--iptables=false'],
    ...['--sysconfig-file', at('sysconfig'), '--autostart-file', at('autostart')],
    ...more,
  ];
  const log = (): string => (existsSync(at('log')) ? readFileSync(at('log'), 'utf8') : '');

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'mt-life-'));
  });
  afterEach(async () => {
    await run(MOORED, [...flags('--tear-down')], {});
    rmSync(directory, { recursive: true });
  });

  /** Starts the daemon; `fd3` becomes its descriptor 3. `$$` in a value of `env` is its own pid. */
  function start(args: readonly string[], env: Readonly<Record<string, string>> = {}, fd3?: number): ChildProcess {
    const assignments = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    const out = openSync(at('log'), 'a');
    const child = spawn('sh', ['-c', `exec env ${assignments.join(' ')} "$0" "$@"`, MOORED, ...args], {
      stdio: ['ignore', out, out, ...(fd3 === undefined ? [] : [fd3])],
    });
    closeSync(out);
    return child;
  }

  async function ended(child: ChildProcess): Promise<number | null> {
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const [code] = (await once(child, 'exit')) as [number | null];
    return code;
  }

  const ping = (socketPath: string): Promise<boolean> =>
    new Promise((resolve) => {
      request({ socketPath, path: '/_ping', agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      })
        .on('error', () => resolve(false))
        .end();
    });

  it('serves an inherited socket once, leaves its file, and tells its state', async () => {
    using passed = new StreamListener(at('passed.sock'));
    using manager = new DatagramPeer(at('notify'));
    const child = start(
      flags('-H', 'fd://', '-H', `unix://${at('passed.sock')}`, '-H', `unix://${at('own.sock')}`),
      { LISTEN_FDS: '1', LISTEN_PID: '$$', NOTIFY_SOCKET: at('notify'), WATCHDOG_USEC: '400000' },
      passed.fd,
    );
    const words: string[] = [];
    await until(() => words.push(...manager.texts()) > 0 && words.some((text) => text.startsWith('READY=1')));
    expect(words.find((text) => text.startsWith('READY=1'))).toContain(`MAINPID=${String(child.pid)}`);
    expect(words.findIndex((text) => text.includes('Recovering 0 containers'))).toBeLessThan(
      words.findIndex((text) => text.startsWith('READY=1')),
    );
    await until(() => ping(at('own.sock')));
    expect(await ping(at('passed.sock'))).toBe(true);
    expect(log().match(/API listen on/g)).toHaveLength(2);
    words.length = 0;
    await until(() => words.push(...manager.texts()) > 0 && words.filter((text) => text === 'WATCHDOG=1').length >= 2);
    process.kill(child.pid ?? 0, 'SIGHUP');
    await until(() => log().includes('Reloaded configuration'));
    await until(() => words.push(...manager.texts()) > 0 && words.at(-1)?.startsWith('READY=1') === true);
    expect(words.some((text) => /^RELOADING=1\nMONOTONIC_USEC=\d+\n/.test(text))).toBe(true);
    child.kill('SIGTERM');
    expect(await ended(child)).toBe(0);
    expect(manager.texts().some((text) => text.startsWith('STOPPING=1'))).toBe(true);
    expect([existsSync(at('passed.sock')), existsSync(at('own.sock')), existsSync(at('pid'))]).toEqual([
      true,
      false,
      false,
    ]);
  });

  it.each([
    ['fd://', {}, 'no sockets found via socket activation: make sure the service was started by systemd'],
    ['fd://', { LISTEN_FDS: '1', LISTEN_PID: '1' }, 'no sockets found via socket activation'],
  ])('-H %s with %j is refused with the cure', async (host, env, text) => {
    const child = start(flags('-H', host), env);
    expect(await ended(child)).toBe(1);
    expect(log()).toContain(text);
    expect(log()).toContain('systemctl start docker.socket');
    expect(existsSync(at('data/state.db'))).toBe(false);
  });

  it('knows the group of its socket, or refuses in dockerd’s words', async () => {
    const child = start(flags('-H', `unix://${at('s')}`, '-G', 'no-such-group'));
    expect(await ended(child)).toBe(1);
    expect(log()).toContain('failed to load listeners: group no-such-group not found');
    const named = start(flags('-H', `unix://${at('s')}`, '-G', 'daemon'));
    await until(() => ping(at('s')));
    expect([statSync(at('s')).gid, statSync(at('s')).mode & 0o777]).toEqual([1, 0o660]);
    named.kill('SIGTERM');
    expect(await ended(named)).toBe(0);
  });

  it('keeps a second daemon off its data, and off its pid file', async () => {
    const first = start(flags('-H', `unix://${at('s')}`));
    await until(() => ping(at('s')));
    const second = await run(MOORED, [...flags('-H', `unix://${at('t')}`)], {});
    expect([second.code, second.stderr]).toEqual([1, expect.stringContaining('is still running')]);
    const third = await run(MOORED, [...flags('-H', `unix://${at('t')}`), '-p', at('other.pid')], {});
    expect(third.code).toBe(1);
    expect(third.stderr).toMatch(/another engine|locked|in use/i);
    expect(await ping(at('s'))).toBe(true);
    first.kill('SIGTERM');
    expect(await ended(first)).toBe(0);
  });

  it('ends in good order when told so while it starts', async () => {
    for (const turn of [0, 1, 2, 3]) {
      rmSync(at('log'), { force: true });
      const child = start(flags('-H', `unix://${at('s')}`));
      // As early as it can hear it, and later.
      await until(() => log().includes(turn < 2 ? 'Starting up' : 'API listen on'));
      child.kill('SIGTERM');
      expect(await ended(child)).toBe(0);
      expect([existsSync(at('s')), existsSync(at('pid'))]).toEqual([false, false]);
    }
  });

  it('goes at once when the fourth signal says so', async () => {
    await using engine = await TestEngine.start('--shutdown-timeout', '120');
    await engine.importBusybox();
    const stubborn = 'trap "" TERM; while :; do sleep 1; done';
    await engine.dockerOk('run', '-d', '--stop-timeout', '120', '--network', 'none', 'busybox', 'sh', '-c', stubborn);
    const heard = (): number => engine.log().match(/Processing signal 'terminated'/g)?.length ?? 0;
    const exited = engine.exited;
    for (let count = 1; count <= 4; count++) {
      process.kill(engine.pid, 'SIGTERM');
      await until(() => heard() === count);
    }
    expect(await exited).toBe(128 + 15);
    expect(engine.log()).toContain('Forcing docker daemon shutdown without cleanup; 3 interrupts received');
  });

  it('ends in time during a pull, and leaves nothing half', async () => {
    let asked = 0;
    const registry = createHttpServer((_message, response) => {
      asked += 1;
      // A manifest that never ends.
      response.writeHead(200, {
        'content-type': 'application/vnd.oci.image.manifest.v1+json',
        'content-length': '1000',
      });
      response.write('{');
    }).listen(0, '127.0.0.1');
    await once(registry, 'listening');
    const { port } = registry.address() as AddressInfo;
    const child = start(flags('-H', `unix://${at('s')}`, '--shutdown-timeout', '60'));
    await until(() => ping(at('s')));
    const pull = run('docker', ['-H', `unix://${at('s')}`, 'pull', `127.0.0.1:${String(port)}/endless`], {});
    await until(() => asked > 0);
    const since = performance.now();
    child.kill('SIGTERM');
    expect(await ended(child)).toBe(0);
    expect(performance.now() - since).toBeLessThan(30_000);
    expect((await pull).code).not.toBe(0);
    registry.closeAllConnections();
    registry.close();
    const again = start(flags('-H', `unix://${at('s')}`));
    await until(() => ping(at('s')));
    expect((await run('docker', ['-H', `unix://${at('s')}`, 'images', '-aq'], {})).stdout).toBe('');
    again.kill('SIGTERM');
    expect(await ended(again)).toBe(0);
  });

  it('keeps the flag for the next boot while a container waits for it', async () => {
    await using engine = await TestEngine.start('--autostart-file', at('flag'));
    await engine.importBusybox();
    const flag = (): boolean => existsSync(at('flag'));
    await engine.dockerOk('run', '-d', '--name', 'once', 'busybox', 'top');
    expect(flag()).toBe(false);
    await engine.dockerOk('run', '-d', '--name', 'kept', '--restart', 'unless-stopped', 'busybox', 'top');
    expect(flag()).toBe(true);
    await engine.end('SIGKILL');
    expect(flag()).toBe(true);
    writeFileSync(at('flag'), 'untouched');
    await engine.boot();
    expect(readFileSync(at('flag'), 'utf8')).toBe('untouched');
    await engine.dockerOk('stop', '-t', '0', 'kept');
    await until(() => !flag());
    await engine.dockerOk('start', 'kept');
    expect(flag()).toBe(true);
    await engine.dockerOk('rm', '-f', 'kept');
    await until(() => !flag());
    await engine.dockerOk('rm', '-f', 'once');
  });
});
