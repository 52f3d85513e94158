import { describe, expect, it } from 'vitest';
import { errorReply } from '../../../../src/dbus/bus/errors.ts';
import { variant } from '../../../../src/dbus/bus/exported.ts';
import { interfaceInfo } from '../../../../src/dbus/introspection.ts';
import { Writer } from '../../../../src/dbus/bus/wire/writer.ts';
import { MirrorFixture, NO_OPTIONS, until } from './fixture.ts';

const EXITED = 'Exited';

async function nameOfError(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'no error',
    (error: unknown) => errorReply(error).name.replace('org.moored.Engine1.Error.', ''),
  );
}

describe('the tree', () => {
  it('has an object for each container, whenever and by whomever it was made', async () => {
    using fixture = new MirrorFixture();
    const early = await fixture.create(['true'], {}, 'early');
    fixture.start();
    const late = await fixture.create(['true'], {}, 'late');
    expect([...fixture.tree.objects.keys()]).toEqual([early, late]);
    await fixture.engine.containers.remove('early', { force: false, volumes: false });
    expect([...fixture.tree.objects.keys()]).toEqual([late]);
  });

  it('serves every method, property and signal of the interface, in its types', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.run();
    const [execPath] = await fixture.call(path, 'Exec', ['true'], NO_OPTIONS);
    for (const [name, at] of [
      ['Container', path],
      ['Exec', execPath as string],
    ] as const) {
      const info = interfaceInfo(`org.moored.Engine1.${name}`);
      const [part] = fixture.tree.objects.get(at)?.interfaces ?? [];
      expect(Object.keys(part?.methods ?? {}).sort()).toEqual([...info.methods.keys()].sort());
      const values = part?.properties() ?? {};
      expect(Object.keys(values).sort()).toEqual([...info.properties.keys()].sort());
      for (const [property, { type }] of info.properties) new Writer().body(type, [values[property]]);
    }
  });

  it('shows a change before the verb that made it returns, and tells of the end', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.create();
    await fixture.call(path, 'Start', NO_OPTIONS);
    expect(fixture.changes(path)).toEqual([expect.objectContaining({ State: 'running', Pid: 4242 })]);
    await fixture.call(path, 'Kill', 'KILL');
    expect(fixture.changes(path).at(-1)).toMatchObject({ State: 'exited', Pid: 0, ExitCode: 137 });
    expect(fixture.tree.sent(EXITED)).toMatchObject([{ path, args: [137, false, ''] }]);
  });

  it('tells of its health', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.run();
    const { containers } = fixture.engine;
    expect(fixture.tree.properties(path)).toMatchObject({ Health: 'none' });
    containers.becomeHealth('web', { status: 'starting', failingStreak: 0, log: [] });
    const healthy = fixture.call(path, 'Wait', 'healthy');
    containers.becomeHealth('web', { status: 'unhealthy', failingStreak: 3, log: [] });
    containers.becomeHealth('web', { status: 'healthy', failingStreak: 0, log: [] });
    expect(await healthy).toEqual([0, '']);
    expect(fixture.tree.properties(path)).toMatchObject({ Health: 'healthy' });
    expect(fixture.tree.sent('HealthChanged')).toMatchObject([
      { path, args: ['starting', 0] },
      { path, args: ['unhealthy', 3] },
      { path, args: ['healthy', 0] },
    ]);
  });

  it('keeps nothing of a container that is taken away at its end', async () => {
    using fixture = new MirrorFixture().start();
    const { host } = fixture.engine.containers.get((await fixture.create(['true'], {}, 'model')).slice(-64)).spec;
    await fixture.engine.containers.remove('model', { force: true, volumes: false });
    const path = await fixture.run(['sleep'], { host: { ...host, autoRemove: true } });
    const [exec] = await fixture.call(path, 'Exec', ['true'], NO_OPTIONS);
    const ended = nameOfError(fixture.call(exec as string, 'Wait'));
    await fixture.call(path, 'Kill', 'KILL');
    await until(() => fixture.tree.objects.size === 0);
    expect(await ended).toBe('NoSuchExec');
    expect(fixture.tree.announced.filter(({ kind }) => kind === 'removed').map((one) => one.path)).toEqual(
      expect.arrayContaining([exec, path]),
    );
  });

  it('shows that an image is gone, and says nothing any more once it is disposed of', async () => {
    const fixture = new MirrorFixture().start();
    const path = await fixture.create();
    expect(fixture.tree.properties(path)).toMatchObject({ Image: expect.stringMatching(/\/image\/b{64}$/) });
    fixture[Symbol.dispose]();
    await fixture.engine.containers.start('web');
    expect(fixture.changes(path)).toEqual([]);
  });

  it('stays cheap with a thousand containers: a change reads one object', async () => {
    using fixture = new MirrorFixture();
    for (let i = 0; i < 1000; i += 1) await fixture.create(['sleep'], {}, `c${String(i)}`);
    fixture.start();
    let reads = 0;
    const get = fixture.engine.containers.get.bind(fixture.engine.containers);
    fixture.engine.containers.get = (ref) => {
      reads += 1;
      return get(ref);
    };
    await fixture.engine.containers.start('c500');
    expect(reads).toBeLessThan(5);
  });
});

describe('verbs', () => {
  it('start: running already is an error unless allowed', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.run();
    expect(await nameOfError(fixture.call(path, 'Start', NO_OPTIONS))).toBe('AlreadyRunning');
    expect(await fixture.call(path, 'Start', { AllowRunning: variant('b', true) })).toEqual([]);
  });

  it('stop, restart and remove are jobs', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.run();
    for (const member of ['Restart', 'Stop', 'Remove']) {
      const [job] = await fixture.call(path, member, NO_OPTIONS);
      await until(() => fixture.tree.properties(job as string)['State'] === 'finished');
      expect(fixture.tree.properties(job as string)).toMatchObject({
        Type: member.toLowerCase(),
        Objects: [path],
        Result: 'done',
        Cancelable: false,
      });
    }
    expect(fixture.tree.has(path)).toBe(false);
  });

  it('say in the job what failed', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.run();
    const [job] = await fixture.call(path, 'Remove', NO_OPTIONS);
    await until(() => fixture.tree.properties(job as string)['State'] === 'finished');
    expect(fixture.tree.properties(job as string)).toMatchObject({ Result: 'failed' });
  });

  it('pass time-outs in seconds, for ever as -1, and signals', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.run();
    const seen: unknown[] = [];
    Object.assign(fixture.engine.containers, {
      stop: async (_ref: string, how: unknown) => {
        seen.push(how);
        return true;
      },
    });
    await fixture.call(path, 'Stop', NO_OPTIONS);
    await fixture.call(path, 'Stop', { Timeout: variant('t', 1_500_000n), Signal: variant('s', 'INT') });
    await fixture.call(path, 'Stop', { Timeout: variant('t', 2n ** 64n - 1n) });
    await until(() => seen.length === 3);
    expect(seen).toEqual([
      { signal: null, timeoutSeconds: null },
      { signal: 'INT', timeoutSeconds: 1.5 },
      { signal: null, timeoutSeconds: -1 },
    ]);
  });

  it('pause, unpause, rename and resize', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.run();
    await fixture.call(path, 'Pause');
    expect(fixture.tree.properties(path)).toMatchObject({ State: 'paused', Pid: 4242 });
    await fixture.call(path, 'Unpause');
    await fixture.call(path, 'Rename', 'shop');
    expect(fixture.changes(path).at(-1)).toEqual({ Name: 'shop' });
    await fixture.call(path, 'ResizeTTY', 24, 80);
    expect(fixture.engine.containers.resizes).toEqual([{ height: 24, width: 80 }]);
  });

  it('wait for a condition, and no longer than the caller does', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.run();
    const left = new AbortController();
    const [ended, removed] = [fixture.call(path, 'Wait', 'not-running'), fixture.call(path, 'Wait', 'removed')];
    const given = fixture.callAs(left.signal, path, 'Wait', 'next-exit');
    left.abort(new DOMException('gone', 'AbortError'));
    expect(await nameOfError(given)).toBe('Cancelled');
    await fixture.engine.containers.kill('web', 'KILL');
    expect(await ended).toEqual([137, '']);
    await fixture.engine.containers.remove('web', { force: false, volumes: false });
    expect(await removed).toEqual([137, '']);
  });

  it.each([
    ['Wait', ['sometime'], 'org.freedesktop.DBus.Error.InvalidArgs'],
    ['Start', [{ Now: variant('b', true) }], 'org.freedesktop.DBus.Error.InvalidArgs'],
    ['Stop', [{ Timeout: variant('s', '1') }], 'org.freedesktop.DBus.Error.InvalidArgs'],
    ['Rename', [''], 'org.freedesktop.DBus.Error.InvalidArgs'],
    ['Kill', ['KILL'], 'NotRunning'],
    ['Unpause', [], 'NotPaused'],
    ['ResizeTTY', [1, 1], 'NotRunning'],
    ['Exec', [['true'], NO_OPTIONS], 'NotRunning'],
    ['Exec', [[], NO_OPTIONS], 'org.freedesktop.DBus.Error.InvalidArgs'],
    ['ExecCapture', [['true'], { Tty: variant('b', true) }], 'org.freedesktop.DBus.Error.InvalidArgs'],
    ['OpenShell', ['', '', [], []], 'NotRunning'],
    ['OpenRootDirectory', [], 'NotRunning'],
    ['GetLogs', [{ Tail: variant('u', 1001) }], 'org.freedesktop.DBus.Error.InvalidArgs'],
    ['GetLogs', [{ Streams: variant('y', 0) }], 'org.freedesktop.DBus.Error.InvalidArgs'],
    ['GetLogs', [{ Cursor: variant('s', 'x') }], 'org.freedesktop.DBus.Error.InvalidArgs'],
    ['GetLogs', [{ Follow: variant('b', true) }], 'org.freedesktop.DBus.Error.InvalidArgs'],
    ['OpenLogs', [{ Format: variant('s', 'xml') }], 'org.freedesktop.DBus.Error.InvalidArgs'],
    ['OpenLogs', [{ Cursor: variant('s', 't1') }], 'org.freedesktop.DBus.Error.InvalidArgs'],
    ['Attach', [{ stdin: variant('b', true) }], 'org.freedesktop.DBus.Error.InvalidArgs'],
    ['Update', [{ RestartPolicy: variant('s', 'sometimes') }], 'org.freedesktop.DBus.Error.InvalidArgs'],
    ['Update', [{ CpuShares: variant('s', '5') }], 'org.freedesktop.DBus.Error.InvalidArgs'],
    ['Commit', ['x', { Comment: variant('s', 'x') }], 'org.freedesktop.DBus.Error.InvalidArgs'],
    ['GetProcesses', [''], 'NotRunning'],
    ['GetStats', [], 'NotRunning'],
    ['OpenStats', [999_999], 'org.freedesktop.DBus.Error.InvalidArgs'],
    ['CopyFrom', ['/nix'], 'NotFound'],
  ] as const)('%s %j of a stopped container is %s', async (member, args, name) => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.create();
    const call = (): Promise<readonly unknown[]> => fixture.call(path, member, ...args);
    expect(await nameOfError(call())).toBe(name);
  });

  it('update changes what is named', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.create();
    const limits = {
      Memory: variant('t', 67_108_864n),
      MemorySwap: variant('x', -1n),
      CPUShares: variant('t', 5n),
      CPUSet: variant('s', '0'),
      PidsLimit: variant('x', 7n),
      BlkioWeight: variant('u', 20),
      RestartPolicy: variant('s', 'on-failure:3'),
    };
    // Without a limit there is no swap limit either, which a memory limit must come with.
    expect(await fixture.call(path, 'Update', limits)).toEqual([[]]);
    const [json] = (await fixture.call(path, 'Inspect')) as readonly [string];
    const { HostConfig } = JSON.parse(json) as { HostConfig: Readonly<Record<string, unknown>> };
    expect(HostConfig).toMatchObject({
      Memory: 67_108_864,
      MemorySwap: -1,
      CpuShares: 5,
      CpusetCpus: '0',
      PidsLimit: 7,
      BlkioWeight: 20,
      RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 3 },
    });
  });

  it('commit is a job', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.create();
    const [job] = await fixture.call(path, 'Commit', 'shop:1', {
      Message: variant('s', 'why'),
      Author: variant('s', 'me'),
      Pause: variant('b', false),
      Changes: variant('as', ['CMD x']),
    });
    await until(() => fixture.tree.properties(job as string)['State'] === 'finished');
    expect(fixture.tree.properties(job as string)).toMatchObject({
      Type: 'commit',
      Objects: [path],
      Result: 'done',
      Details: { Image: variant('o', expect.stringMatching(/image\/c{64}$/)) },
    });
    await fixture.call(path, 'Commit', '', NO_OPTIONS);
    await until(() => fixture.engine.containers.commits.length === 2);
    const given = { repository: 'shop:1', tag: null, author: 'me', comment: 'why', pause: false, changes: ['CMD x'] };
    expect(fixture.engine.containers.commits).toMatchObject([given, { repository: '', pause: true, changes: [] }]);
  });

  it('lists what has changed, and exports', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.create();
    const changes = [
      [0, '/etc'],
      [1, '/etc/new'],
      [2, '/etc/old'],
    ];
    expect(await fixture.call(path, 'GetChanges')).toEqual([changes]);
    const peer = await fixture.open(path, 'Export');
    expect(await peer.ended).toBe(`tar of ${path.slice(-64)}`);
    await fixture.engine.containers.remove('web', { force: true, volumes: false });
    expect(fixture.streams.count).toBe(0);
  });

  it('copies out of it', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.create();
    const stat = { name: 'hosts', sizeBytes: 3, mode: 0o100644, mtimeNs: '1000000000', linkTarget: '' };
    fixture.engine.containers.paths.set('/etc/hosts', { stat, chunks: [Buffer.from('a'), Buffer.from('tar')] });
    const peer = await fixture.open(path, 'CopyFrom', '/etc/hosts');
    expect(await peer.ended).toBe('atar');
  });

  it('shows processes and usage', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.create();
    await fixture.engine.containers.start('web');
    expect(await fixture.call(path, 'GetProcesses', '')).toEqual([['PID', 'CMD'], [['1', 'sh -c x']]]);
    fixture.engine.containers.used = USED;
    expect(await fixture.call(path, 'GetStats')).toEqual([
      {
        CpuUsageNSec: variant('t', 5n),
        MemoryCurrent: variant('t', 7n),
        MemoryLimit: variant('t', 100n),
        PidsCurrent: variant('t', 2n),
        IOReadBytes: variant('t', 3n),
        IOWriteBytes: variant('t', 4n),
        Networks: variant('a{sa{st}}', {}),
      },
    ]);
    const peer = await fixture.open(path, 'OpenStats', 1_000_000n);
    const lines = (await peer.ended).trimEnd().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { readonly name: string }).name)).toEqual(['/web', '/web']);
  });
});

const USED: NonNullable<MirrorFixture['engine']['containers']['used']> = {
  readAt: 0n as NonNullable<MirrorFixture['engine']['containers']['used']>['readAt'],
  resources: {
    cgroupVersion: '2',
    cpu: {
      totalNs: 5n,
      userNs: 3n,
      systemNs: 2n,
      perCpuNs: null,
      periods: 0n,
      throttledPeriods: 0n,
      throttledNs: 0n,
    },
    memory: {
      currentBytes: 7n,
      limitBytes: null,
      peakBytes: null,
      inactiveFileBytes: 0n,
      failures: 0n,
      details: new Map(),
    },
    pids: { current: 2n, limit: null },
    block: {
      bytes: [
        { major: 8n, minor: 0n, op: 'read', value: 3n },
        { major: 8n, minor: 0n, op: 'write', value: 4n },
      ],
      operations: [],
    },
  },
  networks: [],
  host: { totalNs: 1n, onlineCpus: 1 },
  hostMemoryBytes: 100n,
};

describe('facts', () => {
  it('Inspect is the REST document, and counts the size for those who read it after', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.create();
    expect(fixture.tree.properties(path)['SizeRw']).toBe(0);
    const [json] = await fixture.call(path, 'Inspect');
    expect(JSON.parse(json as string)).toMatchObject({ Name: '/web', State: { Status: 'created' } });
    await until(() => fixture.tree.properties(path)['SizeRw'] === 10);
  });

  it('GetConfig is typed and fits the wire', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.create(['sh', '-c', 'true'], { env: ['A=1'], labels: { tier: 'web' } });
    const [config] = await fixture.call(path, 'GetConfig');
    expect(config).toMatchObject({
      Command: { signature: 'as', value: ['sh', '-c', 'true'] },
      Environment: { signature: 'as', value: ['A=1'] },
      Labels: { signature: 'a{ss}', value: { tier: 'web' } },
    });
    expect(() => new Writer().body('a{sv}', [config])).not.toThrow();
  });

  it('the root is a descriptor', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.run();
    const [fd] = await fixture.call(path, 'OpenRootDirectory');
    expect(fd).toBeGreaterThan(2);
    fixture.descriptors.close(fd as number);
  });
});

describe('what polkit sees', () => {
  it('is the container by name, image and labels, and what is to be run in it', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.run(['sleep'], { labels: { team: 'shop' } });
    const [part] = fixture.tree.objects.get(path)?.interfaces ?? [];
    expect(part?.polkitDetails?.('Restart', [NO_OPTIONS])).toMatchObject({
      container: 'web',
      image: 'busybox',
      'label.team': 'shop',
      privileged: 'false',
    });
    const options = { User: variant('s', 'root'), Privileged: variant('b', true), Tty: variant('b', true) };
    expect(part?.polkitDetails?.('Restart', [NO_OPTIONS])).toMatchObject({ image: 'busybox' });
    expect(part?.polkitDetails?.('Commit', ['shop:1', NO_OPTIONS])).toMatchObject({
      container: 'web',
      image: 'shop:1',
    });
    expect(part?.polkitDetails?.('Exec', [['rm', '-r'], options])).toMatchObject({
      container: 'web',
      command: 'rm -r',
      user: 'root',
      tty: 'true',
      privileged: 'true',
    });
    expect(part?.polkitDetails?.('OpenShell', ['bin', '/bin/sh', ['-l'], []])).toMatchObject({
      command: '/bin/sh -l',
      user: 'bin',
    });
    const [exec] = await fixture.call(path, 'Exec', ['id'], NO_OPTIONS);
    const [execPart] = fixture.tree.objects.get(exec as string)?.interfaces ?? [];
    expect(execPart?.polkitDetails?.('Open', [NO_OPTIONS])).toMatchObject({ container: 'web', command: 'id' });
  });
});
