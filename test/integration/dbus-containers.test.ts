/** Containers over D-Bus: a real bus, a real engine, real containers, the docker CLI beside it. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { variant } from '../../src/dbus/bus/exported.ts';
import { ROOT, SERVICE } from '../../src/dbus/names.ts';
import { obstacleToContainers } from '../support/bundle.ts';
import { BusClient, descriptorsOf } from '../support/bus-containers.ts';
import { TestEngine, until } from '../support/engine.ts';
import { PrivateBus, whyNoBus } from '../support/private-bus.ts';

const obstacle = whyNoBus ?? obstacleToContainers();
const NONE = {};
/** The distribution's own, which has the distribution's packages. */
const PYTHON = '/usr/bin/python3';
const whyNoDasbus = spawnSync(PYTHON, ['-c', 'import dasbus']).status === 0 ? null : 'there is no python3-dasbus';
const DASBUS_CLIENT = new URL('../support/clients/dasbus_streams.py', import.meta.url).pathname;
const HOLDER = new URL('../support/hold-streams.ts', import.meta.url).pathname;

describe.skipIf(obstacle !== null)(`containers on the bus${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  let bus: PrivateBus;
  let engine: TestEngine;
  let client: BusClient;

  beforeAll(async () => {
    bus = await PrivateBus.start();
    engine = await TestEngine.startOnBus(bus.address);
    await engine.importBusybox();
    client = await BusClient.connect(bus);
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
    await bus[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    await engine.removeContainers();
    client.seen.length = 0;
  });

  /** Makes a container by the CLI; returns its path. */
  async function docker(verb: 'run' | 'create', ...args: readonly string[]): Promise<string> {
    const id = await engine.dockerOk(verb, ...(verb === 'run' ? ['-d'] : []), ...args);
    return `${ROOT}/container/${id}`;
  }

  it('appear when the CLI makes them, and go with them', async () => {
    const path = await docker('run', '--name', 'web', '-p', '127.0.0.1::80', 'busybox', 'top');
    await until(() => client.seen.some(({ member, body }) => member === 'InterfacesAdded' && body[0] === path));
    const properties = await client.properties(path);
    expect(properties).toMatchObject({
      Name: 'web',
      State: 'running',
      ImageReference: 'busybox',
      PublishedPorts: [['127.0.0.1', expect.any(Number), 80, 'tcp']],
      LogDriver: 'json-file',
    });
    expect(properties['Image']).toMatch(/\/image\/[0-9a-f]{64}$/);
    expect(properties['ControlGroup']).toContain(path.slice(-64));
    expect(await bus.busctl('--list', 'tree', SERVICE)).toContain(path);
    await engine.dockerOk('rm', '-f', 'web');
    await until(() => client.seen.some(({ member, body }) => member === 'InterfacesRemoved' && body[0] === path));
    expect(client.seen.find(({ path: at, member }) => at === path && member === 'Exited')?.body).toEqual([
      137,
      false,
      '',
    ]);
    expect(await client.paths('container')).toEqual([]);
  });

  it('that remove themselves leave nothing', async () => {
    await engine.dockerOk('run', '--rm', 'busybox', 'true');
    await until(async () => (await client.paths('container')).length === 0);
    const count = (member: string): number => client.seen.filter((one) => one.member === member).length;
    await until(() => count('InterfacesAdded') === 1 && count('InterfacesRemoved') === 1);
  });

  it('show what a call changed before its reply', async () => {
    const path = await docker('create', '--name', 'web', 'busybox', 'top');
    await client.call(path, 'Start', 'a{sv}', [NONE]);
    expect(client.changes(path).at(-1)).toMatchObject({ State: 'running', Pid: expect.any(Number) });
    expect(client.seen.at(-1)?.member).toBe('reply');
    await client.call(path, 'Rename', 's', ['shop']);
    expect(client.changes(path).at(-1)).toEqual({ Name: 'shop' });
    await client.call(path, 'Pause');
    expect(client.changes(path).at(-1)).toEqual({ State: 'paused' });
    await client.call(path, 'Unpause');
    await client.call(path, 'Kill', 's', ['KILL']);
    expect(client.changes(path)).toContainEqual(expect.objectContaining({ State: 'exited', ExitCode: 137, Pid: 0 }));
    expect(client.seen.at(-1)?.member).toBe('reply');
  });

  it('are stopped, restarted and removed by jobs', async () => {
    const path = await docker('run', '--name', 'web', 'busybox', 'top');
    const finished = async (member: string, options: object): Promise<Record<string, unknown>> => {
      const [job] = await client.call(path, member, 'a{sv}', [options]);
      return until(async () => {
        const properties = await client.properties(job as string, 'Job');
        return properties['State'] === 'finished' && properties;
      });
    };
    const quick = { Timeout: variant('t', 0n) };
    expect(await finished('Restart', quick)).toMatchObject({ Type: 'restart', Result: 'done', Objects: [path] });
    expect((await client.properties(path))['State']).toBe('running');
    expect(await finished('Remove', NONE)).toMatchObject({ Result: 'failed', ErrorName: `${SERVICE}.Error.Conflict` });
    expect(await finished('Stop', quick)).toMatchObject({ Details: { Stopped: { value: true } } });
    expect(await finished('Stop', quick)).toMatchObject({ Details: { Stopped: { value: false } } });
    expect(await finished('Remove', NONE)).toMatchObject({ Result: 'done' });
    await expect(client.properties(path)).rejects.toThrow(/no object/);
  });

  it('show a start that failed', async () => {
    const path = await docker('create', 'busybox', '/nonexistent');
    await expect(client.call(path, 'Start', 'a{sv}', [NONE])).rejects.toThrow(/no such file/i);
    expect(await client.properties(path)).toMatchObject({ State: 'created', ExitCode: 127 });
  });

  it('give their logs page by page, on across a restart of the daemon', async () => {
    const path = await docker('run', '--name', 'talk', 'busybox', 'sh', '-c', 'seq 1 5; echo oops >&2');
    await engine.dockerOk('wait', 'talk');
    const page = async (options: object) => (await client.call(path, 'GetLogs', 'a{sv}', [options])) as never as Page;
    const [first, cursor, more] = await page({
      Tail: variant('u', 4),
      Since: variant('t', 0n),
      Cursor: variant('s', ''),
    });
    expect(first.map(([, , data]) => String(data))).toEqual(['1\n', '2\n', '3\n', '4\n']);
    expect(more).toBe(true);
    await engine.end();
    await engine.boot();
    await until(() => client.properties(path).catch(() => null));
    const [rest, last, hasMore] = await page({ Cursor: variant('s', cursor) });
    expect(rest.map(([, stream, data]) => [stream, String(data)])).toEqual([
      [1, '5\n'],
      [2, 'oops\n'],
    ]);
    expect([hasMore, (await page({ Cursor: variant('s', last) }))[0]]).toEqual([false, []]);
    await expect(page({ Cursor: variant('s', 'c1-2') })).rejects.toThrow('invalid log cursor');
  });

  it('give their logs through a descriptor, to the end of the container', async () => {
    const path = await docker(
      'run',
      '--name',
      'talk',
      'busybox',
      'sh',
      '-c',
      'echo one; cat /dev/zero | head -c 3000000; read x',
    );
    const options = { Follow: variant('b', true), Format: variant('s', 'json') };
    const stream = await client.open(path, 'OpenLogs', 'a{sv}', [options]);
    await stream.ended;
    const lines = stream.text.trimEnd().split('\n');
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ stream: 'stdout', message: 'one' });
    const zeros = lines
      .slice(1)
      .reduce((sum, line) => sum + (JSON.parse(line) as { message: string }).message.length, 0);
    expect(zeros).toBe(3_000_000);
  });

  it('have shells with a terminal', async () => {
    const path = await docker('run', 'busybox', 'top');
    const shell = await client.open(path, 'OpenShell', 'ssasas', ['root', '', [], ['GREETING=hi']]);
    const [exec] = shell.rest as readonly [string];
    await client.call(exec, 'ResizeTTY', 'uu', [30, 100]);
    shell.socket.write('stty size; echo $GREETING $0; exit 7\n');
    const waited = client.call(exec, 'Wait');
    await shell.ended;
    expect(shell.text).toMatch(/30 100\r\nhi \/bin\/a?sh\r\n/);
    expect(await waited).toEqual([7]);
    expect(await client.properties(exec, 'Exec')).toMatchObject({
      Running: false,
      ExitCode: 7,
      Tty: true,
      Container: path,
    });
    expect(client.seen).toContainEqual({ path: exec, member: 'Exited', body: [7] });
  });

  it('are attached to before they start, and told the end of input', async () => {
    const path = await docker('create', '-i', '--name', 'sum', 'busybox', 'sh', '-c', 'wc -c; echo done >&2');
    const stream = await client.open(path, 'Attach', 'a{sv}', [NONE]);
    await client.call(path, 'Start', 'a{sv}', [NONE]);
    stream.socket.end('12345');
    await stream.ended;
    expect(stream.bytes.toString('latin1')).toBe('\x01\0\0\0\0\0\0\x025\n\x02\0\0\0\0\0\0\x05done\n');
  });

  it('run commands for scripts', async () => {
    const path = await docker('run', '--name', 'web', 'busybox', 'top');
    const busctl = await bus.busctl(
      '--',
      'call',
      SERVICE,
      path,
      `${SERVICE}.Container`,
      'ExecCapture',
      'asa{sv}',
      '3',
      'sh',
      '-c',
      'id -u; exit 3',
      '1',
      'User',
      's',
      'nobody',
    );
    expect(busctl).toBe('iayay 3 6 54 53 53 51 52 10 0\n');
    const [code, out, error] = await client.call(path, 'ExecCapture', 'asa{sv}', [['/nonexistent'], NONE]);
    expect([code, String(out)]).toEqual([127, '']);
    expect(String(error)).toMatch(/no such file/i);
    const args = [
      'call',
      '--system',
      '--dest',
      SERVICE,
      '--object-path',
      path,
      '--method',
      `${SERVICE}.Container.ExecCapture`,
      "['echo','x']",
      '@a{sv} {}',
    ];
    expect(await bus.run(0, 'gdbus', ...args)).toBe('(0, [byte 0x78, 0x0a], @ay [])\n');
    const [exec] = await client.call(path, 'Exec', 'asa{sv}', [['sleep', '100'], NONE]);
    await client.call(exec as string, 'Start');
    await client.call(exec as string, 'Signal', 's', ['TERM']);
    expect(await client.call(exec as string, 'Wait')).toEqual([143]);
  });

  it('give their root', async () => {
    const path = await docker('run', 'busybox', 'top');
    const [fd] = await client.call(path, 'OpenRootDirectory');
    expect(readdirSync(`/proc/self/fd/${String(fd)}/`)).toEqual(expect.arrayContaining(['bin', 'etc']));
    closeSync(fd as number);
  });

  it('give files as a tar, and take one', async () => {
    const path = await docker(
      'run',
      '--name',
      'files',
      'busybox',
      'sh',
      '-c',
      'mkdir -p /a /b; echo hi > /a/word; exec top',
    );
    await until(async () => (await engine.docker(['exec', 'files', 'test', '-s', '/a/word'])).code === 0);
    const copied = await client.open(path, 'CopyFrom', 's', ['/a']);
    await copied.ended;
    expect(copied.rest).toEqual([expect.objectContaining({ Name: variant('s', 'a'), LinkTarget: variant('s', '') })]);
    const file = join(engine.root, 'a.tar');
    writeFileSync(file, copied.bytes);
    expect(spawnSync('tar', ['tf', file], { encoding: 'utf8' }).stdout).toBe('a/\na/word\n');
    const before = descriptorsOf(engine.pid);
    const jobDone = async (target: string): Promise<readonly unknown[]> => {
      const [job] = await client.call(path, 'CopyTo', 'sha{sv}', [target, openSync(file, 'r'), NONE]);
      return await client.connection.call({
        destination: SERVICE,
        path: `${ROOT}/Manager`,
        interface: `${SERVICE}.Manager`,
        member: 'WaitJob',
        signature: 'ut',
        body: [Number(String(job).split('/').at(-1)), 60_000_000n],
      });
    };
    expect((await jobDone('/b'))[0]).toBe('done');
    expect(await engine.dockerOk('exec', 'files', 'cat', '/b/a/word')).toBe('hi');
    expect((await jobDone('/nosuch'))[0]).toBe('failed');
    await expect(client.call(path, 'CopyFrom', 's', ['/nosuch'])).rejects.toMatchObject({
      message: expect.stringContaining('Could not find the file /nosuch') as unknown,
    });
    await until(() => descriptorsOf(engine.pid) <= before);
  });

  it('say what they were made with', async () => {
    const path = await docker(
      'run',
      '-e',
      'A=1',
      '-m',
      '32m',
      '-v',
      'cache:/cache',
      '--restart',
      'on-failure:2',
      'busybox',
      'top',
    );
    const [config] = await client.call(path, 'GetConfig');
    expect(config).toMatchObject({
      Command: { value: ['top'] },
      RestartPolicy: { value: 'on-failure:2' },
      Resources: { value: { Memory: { value: BigInt(32 << 20) } } },
      Networks: { value: { bridge: { IPv4Address: { value: expect.stringContaining(engine.subnetPrefix) } } } },
    });
    expect((await client.properties(path))['Volumes']).toEqual([`${ROOT}/volume/cache`]);
    const [json] = await client.call(path, 'Inspect');
    const [ours] = JSON.parse(await engine.dockerOk('inspect', path.slice(-64))) as readonly unknown[];
    expect(JSON.parse(json as string)).toEqual(ours);
  });

  it('show that their image has gone', async () => {
    await engine.importBusybox('passing:latest');
    const path = await docker('create', 'passing', 'true');
    const image = (await client.properties(path))['Image'];
    await engine.dockerOk('tag', 'passing', 'passing:again');
    expect((await client.properties(path))['Image']).toBe(image);
    await engine.dockerOk('rmi', '-f', String(image).slice(-64));
    expect((await client.properties(path))['Image']).toBe('/');
  });

  it('are waited for as long as the caller is there', async () => {
    const path = await docker('run', '--name', 'web', 'busybox', 'top');
    const ended = client.call(path, 'Wait', 's', ['not-running']);
    const other = await BusClient.connect(bus);
    const given = other.call(path, 'Wait', 's', ['removed']).catch(() => 'left');
    other.connection.close();
    expect(await given).toBe('left');
    await engine.dockerOk('kill', 'web');
    expect(await ended).toEqual([137, '']);
  });

  it.skipIf(whyNoDasbus !== null)(
    `serve streams to Python over dasbus${whyNoDasbus === null ? '' : ` (skipped: ${whyNoDasbus})`}`,
    async () => {
      const running = await docker('run', '--name', 'web', 'busybox', 'sh', '-c', 'echo hello; exec top -b -d 1000');
      const waiting = await docker('create', '-i', 'busybox', 'wc', '-l');
      await until(async () => (await engine.dockerOk('logs', 'web')).startsWith('hello'));
      const printed = await bus.run(0, PYTHON, DASBUS_CLIENT, running, waiting);
      expect(JSON.parse(printed)).toMatchObject({
        logs: expect.stringMatching(/^hello\n/),
        shell: 'in 42',
        exit_code: 5,
        attached: '2\n',
        ended: [0, ''],
        root: true,
        line: expect.any(String),
        after: [],
        error: expect.stringContaining('InvalidArgs'),
      });
    },
  );

  it('hold no descriptor of a client that was killed, or has gone', async () => {
    const path = await docker('run', '-i', 'busybox', 'cat');
    // Whatever is opened once and kept is opened now.
    const warm = await client.open(path, 'OpenLogs', 'a{sv}', [{ Follow: variant('b', true) }]);
    const warmed = descriptorsOf(engine.pid);
    warm.socket.destroy();
    await until(() => descriptorsOf(engine.pid) < warmed);
    const before = descriptorsOf(engine.pid);
    const holder = spawn(process.execPath, [HOLDER, bus.socketPath, path], { stdio: ['pipe', 'pipe', 'inherit'] });
    await once(holder.stdout, 'data');
    expect(descriptorsOf(engine.pid)).toBeGreaterThan(before + 2);
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    await until(() => descriptorsOf(engine.pid) <= before);
  });

  it('keep no descriptor after many streams', async () => {
    const path = await docker('run', '-i', 'busybox', 'cat');
    const round = async (): Promise<void> => {
      const logs = await client.open(path, 'OpenLogs', 'a{sv}', [NONE]);
      await logs.ended;
      const shell = await client.open(path, 'OpenShell', 'ssasas', ['', '/bin/sh', ['-c', 'true'], []]);
      await shell.ended;
      const attached = await client.open(path, 'Attach', 'a{sv}', [NONE]);
      attached.socket.destroy();
      await client.call(path, 'ExecCapture', 'asa{sv}', [['true'], NONE]);
    };
    await round();
    let before = 0;
    await until(() => {
      const [last, now] = [before, descriptorsOf(engine.pid)];
      before = now;
      return now === last;
    });
    for (let i = 0; i < 10; i += 1) await round();
    await until(() => descriptorsOf(engine.pid) <= before);
  });

  it('let go of their clients when the daemon ends, and are there again with the next one', async () => {
    const path = await docker('run', '--stop-signal', 'KILL', '--name', 'echo', 'busybox', 'top');
    const logs = await client.open(path, 'OpenLogs', 'a{sv}', [{ Follow: variant('b', true) }]);
    const shell = await client.open(path, 'OpenShell', 'ssasas', ['', '', [], []]);
    const waiting = client.call(path, 'Wait', 's', ['removed']).catch((error: unknown) => String(error));
    // The bus keeps the order: that call is under way when this one is answered.
    await client.properties(path);
    await engine.end();
    await Promise.all([logs.ended, shell.ended]);
    expect(await waiting).toMatch(/shutting down/);
    await engine.boot();
    expect(await until(() => client.properties(path).catch(() => null))).toMatchObject({ Name: 'echo' });
  });

  it('go on streaming while the bus is away', async () => {
    const path = await docker('run', '-i', '--name', 'echo', 'busybox', 'cat');
    const stream = await client.open(path, 'Attach', 'a{sv}', [NONE]);
    await bus.halt();
    stream.socket.write('still here');
    await until(() => stream.text.includes('still here'));
    stream.socket.destroy();
    await bus.resume();
    client = await BusClient.connect(bus);
    await until(async () => (await client.paths('container').catch(() => [])).length === 1);
  });
});

type Page = readonly [readonly (readonly [bigint, number, Uint8Array])[], string, boolean];
