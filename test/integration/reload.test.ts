/** SIGHUP: every reloadable key shows its effect through the docker CLI, the others are told of, and nothing ends the daemon. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine, until } from '../support/engine.ts';

const isRoot = process.getuid?.() === 0;

describe.skipIf(!isRoot)(`reload${isRoot ? '' : ' (skipped: an engine needs root)'}`, () => {
  let engine: TestEngine;
  let directory = '';

  const write = (settings: object | string): void =>
    writeFileSync(join(directory, 'daemon.json'), typeof settings === 'string' ? settings : JSON.stringify(settings));
  const count = (pattern: RegExp): number => engine.log().match(new RegExp(pattern, 'g'))?.length ?? 0;

  const done = (): number => count(/Reloaded configuration|configuration not reloaded/);

  /** Reloads, and waits until that and all that were asked for before it are over. */
  async function another(): Promise<void> {
    const before = done();
    process.kill(engine.pid, 'SIGHUP');
    await until(() => done() > before && count(/Got signal to reload/) === done());
  }

  /** Reloads and returns what the log said about it. */
  async function reload(settings: object | string): Promise<string> {
    write(settings);
    const before = engine.log().length;
    await another();
    return engine.log().slice(before);
  }

  const info = (template: string): Promise<string> => engine.dockerOk('info', '--format', template);
  const inNew = (...command: readonly string[]): Promise<string> =>
    engine.dockerOk('run', '--rm', '--network', 'none', 'busybox', ...command);

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'mt-reload-'));
    write({});
    engine = await TestEngine.start(
      '--config-file',
      join(directory, 'daemon.json'),
      '--sysconfig-file',
      join(directory, 'sysconfig'),
    );
    await engine.importBusybox();
  });

  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true });
  });

  it('changes what `docker info` says, tells of it as dockerd does, and takes it back', async () => {
    const since = String(Math.floor(Date.now() / 1000));
    const words = await reload({
      debug: true,
      labels: ['place=here'],
      'insecure-registries': ['reg.example:5000'],
      'registry-mirrors': ['https://mirror.example'],
      'live-restore': true,
      'shutdown-timeout': 3,
      'max-concurrent-downloads': 7,
      'max-concurrent-uploads': 6,
      'max-download-attempts': 9,
      proxies: { 'http-proxy': 'http://proxy.example:3128' },
    });
    expect(words).toContain('Got signal to reload configuration, reloading from: ');
    expect(await info('{{.Debug}} {{.Labels}} {{.LiveRestoreEnabled}} {{.HTTPProxy}}')).toBe(
      'true [place=here] true http://proxy.example:3128',
    );
    expect(await info('{{json .RegistryConfig}}')).toMatch(/reg\.example:5000.*https:\/\/mirror\.example/);
    const until_ = String(Math.ceil(Date.now() / 1000) + 1);
    const event = await engine.dockerOk('events', '--since', since, '--until', until_, '--filter', 'type=daemon');
    expect(event).toContain('daemon reload ');
    for (const attribute of [
      'debug=true',
      'default-ipc-mode=private',
      'default-shm-size=67108864',
      'insecure-registries=["reg.example:5000"]',
      'labels=["place=here"]',
      'live-restore=true',
      'max-concurrent-downloads=7',
      'max-concurrent-uploads=6',
      'max-download-attempts=9',
      'registry-mirrors=["https://mirror.example"]',
      'shutdown-timeout=3',
    ]) {
      expect(event).toContain(attribute);
    }
    await reload({});
    expect(await info('{{.Debug}} {{.Labels}} {{.LiveRestoreEnabled}} {{.HTTPProxy}}')).toBe('false [] false ');
  });

  it('gives new containers their new defaults', async () => {
    await reload({
      'default-shm-size': '8m',
      'default-ulimits': { nofile: { Name: 'nofile', Soft: 1234, Hard: 2345 } },
      'default-ipc-mode': 'shareable',
      'log-driver': 'none',
      'no-new-privileges': true,
      dns: ['192.0.2.53'],
      'dns-search': ['corp.example'],
      'dns-opts': ['ndots:3'],
      'default-cgroupns-mode': 'host',
    });
    expect(await inNew('df', '/dev/shm')).toMatch(/\b8192\b/);
    expect(await inNew('sh', '-c', 'ulimit -n; ulimit -Hn')).toBe('1234\n2345');
    expect(await inNew('grep', 'NoNewPrivs', '/proc/self/status')).toMatch(/1$/);
    const resolv = await engine.dockerOk('run', '--rm', 'busybox', 'cat', '/etc/resolv.conf');
    for (const word of ['192.0.2.53', 'corp.example', 'ndots:3']) expect(resolv).toContain(word);
    await engine.dockerOk('create', '--name', 'made', 'busybox', 'true');
    expect(
      await engine.dockerOk('inspect', '-f', '{{.HostConfig.LogConfig.Type}} {{.HostConfig.IpcMode}}', 'made'),
    ).toBe('none shareable');
    await reload({});
    expect(await engine.dockerOk('inspect', '-f', '{{.HostConfig.LogConfig.Type}}', 'made')).toBe('none');
    await engine.dockerOk('rm', 'made');
    expect(await inNew('sh', '-c', 'ulimit -n')).not.toBe('1234');
    expect(await inNew('grep', 'NoNewPrivs', '/proc/self/status')).toMatch(/0$/);
  });

  it('waits as long as the new default when it stops a container', async () => {
    await reload({ 'default-stop-timeout': 0 });
    // A shell as PID 1 that heeds no SIGTERM.
    await engine.dockerOk(
      'run',
      '-d',
      '--name',
      'stubborn',
      'busybox',
      'sh',
      '-c',
      'trap "" TERM; while :; do sleep 1; done',
    );
    const since = performance.now();
    await engine.dockerOk('stop', 'stubborn');
    // Without a reload it were ten seconds.
    expect(performance.now() - since).toBeLessThan(9_500);
    await engine.dockerOk('rm', 'stubborn');
    await reload({});
  });

  it('adds runtimes, keeps those in use, and refuses an unknown default', async () => {
    symlinkSync(
      execFileSync('sh', ['-c', 'command -v crun || command -v runc'], { encoding: 'utf8' }).trim(),
      join(directory, 'other'),
    );
    const runtimes = { other: { path: join(directory, 'other') } };
    await reload({ runtimes, 'default-runtime': 'other' });
    expect(await info('{{.DefaultRuntime}}')).toBe('other');
    await engine.dockerOk('run', '-d', '--name', 'onother', 'busybox', 'top');
    expect(await engine.dockerOk('inspect', '-f', '{{.HostConfig.Runtime}}', 'onother')).toBe('other');
    const words = await reload({ 'default-runtime': 'nope' });
    expect(words).toContain("specified default runtime 'nope' does not exist");
    expect(await info('{{.DefaultRuntime}}')).toBe('other');
    await reload({});
    expect(await info('{{.DefaultRuntime}}')).not.toBe('other');
    // The container was made with a runtime that is no longer configured: it can still be started and taken away.
    await engine.dockerOk('restart', '-t', '0', 'onother');
    await engine.dockerOk('rm', '-f', 'onother');
    await reload({});
    expect(await info('{{json .Runtimes}}')).not.toContain('"other"');
  });

  it('pulls from where the new configuration says', async () => {
    const asked: string[] = [];
    const mirror = createServer(({ url }, response) => {
      asked.push(url ?? '');
      response.writeHead(404).end();
    }).listen(0, '127.0.0.1');
    await once(mirror, 'listening');
    const { port } = mirror.address() as AddressInfo;
    // The client is loaded by the first pull: a reload must reach one that is there.
    await engine.docker(['pull', `127.0.0.1:${String(port)}/first`]);
    await reload({ 'registry-mirrors': [`http://127.0.0.1:${String(port)}`] });
    await engine.docker(['pull', 'nothing-of-the-kind']);
    expect(asked.some((path) => path.includes('library/nothing-of-the-kind'))).toBe(true);
    await reload({});
    asked.length = 0;
    await engine.docker(['pull', 'nothing-of-the-kind']);
    expect(asked).toEqual([]);
    mirror.close();
  });

  it('tells of what needs a restart, each time again', async () => {
    for (const _ of [1, 2]) {
      const words = await reload({ mtu: 1400, 'storage-driver': 'vfs', debug: true });
      expect(words).toMatch(/only a restart of the daemon applies it: (storage-driver, mtu|mtu, storage-driver)/);
    }
    expect(await info('{{.Driver}} {{.Debug}}')).not.toContain('vfs');
    await reload({});
  });

  it.each([
    ['{"debug":', 'daemon.json'],
    ['[]', 'daemon.json'],
    [{ 'max-concurrent-downloads': -1, labels: ['x=y'] }, 'invalid max concurrent downloads: -1'],
    [{ nonsense: 1, labels: ['x=y'] }, "the following directives don't match any configuration option: nonsense"],
    [
      { 'data-root': '/x', labels: ['x=y'] },
      'directives are specified both as a flag and in the configuration file: data-root',
    ],
    [{ 'log-driver': 'carrier-pigeon', labels: ['x=y'] }, "no log driver named 'carrier-pigeon' is registered"],
    [{ 'default-ulimits': { nofile: { Name: 'nofile', Soft: 5, Hard: 1 } }, labels: ['x=y'] }, 'ulimit'],
    [{ 'authorization-plugins': ['nope'], labels: ['x=y'] }, 'authorization-plugin'],
    [{ 'default-ipc-mode': 'none', labels: ['x=y'] }, 'IPC mode'],
  ])('refuses %j as a whole, and lives on', async (settings, text) => {
    const words = await reload(settings);
    expect(words).toContain('configuration not reloaded');
    expect(words).toContain(text);
    expect(await info('{{.Labels}}')).toBe('[]');
  });

  it('refuses when the file it was told of has gone', async () => {
    rmSync(join(directory, 'daemon.json'));
    await another();
    expect(count(/configuration not reloaded.*no such file or directory/)).toBe(1);
    await reload({});
  });

  it('puts the rules of the packet filter back', async () => {
    const port = 20_000 + (process.pid % 10_000);
    await engine.dockerOk('run', '-d', '--name', 'web', '-p', `${String(port)}:80`, 'busybox', 'top');
    const table = `moored-${engine.bridge}`;
    const rules = (): string => execFileSync('nft', ['list', 'table', 'ip', table], { encoding: 'utf8' });
    const before = rules();
    expect(before).toContain(String(port));
    // The engine hears of it and may be faster.
    execFileSync('nft', ['delete', 'table', 'ip', table]);
    await reload({});
    await expect.poll(rules).toBe(before);
    await engine.dockerOk('rm', '-f', 'web');
  });

  it('does one after another, however many are asked for at once', async () => {
    write({ labels: ['many=yes'] });
    const before = done();
    for (let index = 0; index < 20; index++) process.kill(engine.pid, 'SIGHUP');
    // Signals that arrive together become one; at least one reload begins after the last of them.
    await until(async () => (await info('{{.Labels}}')) === '[many=yes]');
    await until(() => count(/Got signal to reload/) === done());
    expect(done()).toBeGreaterThan(before);
    await reload({});
  });

  it('stops containers or leaves them, as the last reload said', async () => {
    await engine.dockerOk('run', '-d', '--name', 'live', 'busybox', 'top');
    const pid = await engine.dockerOk('inspect', '-f', '{{.State.Pid}}', 'live');
    await reload({ 'live-restore': true });
    await engine.end('SIGTERM');
    await engine.boot();
    expect(await engine.dockerOk('inspect', '-f', '{{.State.Pid}}', 'live')).toBe(pid);
    await reload({});
    await engine.end('SIGTERM');
    await engine.boot();
    expect(await engine.dockerOk('inspect', '-f', '{{.State.Running}}', 'live')).toBe('false');
    await engine.dockerOk('rm', 'live');
  });
});
