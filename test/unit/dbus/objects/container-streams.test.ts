import { describe, expect, it } from 'vitest';
import type { Timestamp } from '../../../../src/base/clock.ts';
import { frame } from '../../../../src/base/stdio-frame.ts';
import { silentLogger } from '../../../../src/base/logger.ts';
import { variant } from '../../../../src/dbus/bus/exported.ts';
import { OpenStreams } from '../../../../src/dbus/bus/open-streams.ts';
import type { LogRecord, LogsOptions } from '../../../../src/engine/index.ts';
import { descriptorCount, MirrorFixture, NO_OPTIONS, Peer, until } from './fixture.ts';

const START_NS = 1_700_000_000_000_000_000n;

interface LineWish {
  readonly text: string;
  readonly second?: number;
  readonly stream?: 'stdout' | 'stderr';
  readonly partial?: boolean;
  readonly cursor?: string;
}

function record({ text, second = 0, stream = 'stdout', partial = false, cursor }: LineWish): LogRecord {
  return {
    stream,
    time: (START_NS + BigInt(second) * 1_000_000_000n) as Timestamp,
    data: Buffer.from(`${text}${partial ? '' : '\n'}`, 'latin1'),
    partial,
    ...(cursor === undefined ? {} : { cursor }),
  };
}

/** Puts a log under the fake engine: with cursors, as json-file has them, or without. */
function giveLog(fixture: MirrorFixture, records: readonly LogRecord[]): LogsOptions[] {
  const asked: LogsOptions[] = [];
  fixture.engine.containers.logs = (_ref, options) => {
    asked.push(options);
    const after = records.findIndex(({ cursor }) => cursor !== undefined && cursor === options.after) + 1;
    const kept = records
      .slice(after)
      .filter(({ stream, time }) => options[stream] && (options.since === null || time >= options.since));
    const tail = options.tail === null ? kept : kept.slice(Math.max(0, kept.length - options.tail));
    async function* batches(): AsyncGenerator<readonly LogRecord[]> {
      for (let at = 0; at < tail.length; at += 3) yield tail.slice(at, at + 3);
      if (!options.follow || options.signal.aborted) return;
      await new Promise<void>((resolve) => {
        options.signal.addEventListener('abort', () => resolve());
      });
    }
    return { terminal: false, batches: batches() };
  };
  return asked;
}

const numbered = (count: number, withCursor: boolean): readonly LogRecord[] =>
  Array.from({ length: count }, (_, i) =>
    // Three lines of each time, as conmon gives them to what it got in one read.
    record({ text: String(i), second: Math.floor(i / 3), ...(withCursor ? { cursor: String(i) } : {}) }),
  );

type Row = readonly [bigint, number, Uint8Array];

describe('GetLogs', () => {
  it.each([true, false])('pages through everything once, with or without cursors of the driver (%s)', async (with_) => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.create();
    giveLog(fixture, numbered(25, with_));
    const seen: string[] = [];
    let options = { Tail: variant('u', 4), Cursor: variant('s', '') };
    for (let more = true; more;) {
      const page = (await fixture.call(path, 'GetLogs', options)) as unknown as readonly [
        readonly Row[],
        string,
        boolean,
      ];
      expect(page[0].length).toBeLessThanOrEqual(4);
      seen.push(...page[0].map(([, , data]) => Buffer.from(data).toString().trim()));
      more = page[2];
      options = { ...options, Cursor: variant('s', page[1]) };
    }
    expect(seen).toEqual(Array.from({ length: 25 }, (_, i) => String(i)));
    expect(await fixture.call(path, 'GetLogs', options)).toMatchObject([[], options.Cursor.value, false]);
  });

  it('gives the last lines when it is told nothing, the first ones from a time on', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.create();
    const asked = giveLog(fixture, numbered(12, true));
    const [lines, cursor, more] = await fixture.call(path, 'GetLogs', { Tail: variant('u', 2) });
    expect(lines).toEqual([
      [START_NS / 1000n + 3_000_000n, 1, Buffer.from('10\n')],
      [START_NS / 1000n + 3_000_000n, 1, Buffer.from('11\n')],
    ]);
    expect([cursor, more]).toEqual(['c11', false]);
    const since = variant('t', START_NS / 1000n + 2_000_000n);
    const [from] = await fixture.call(path, 'GetLogs', { Since: since, Until: variant('t', 5n) });
    expect((from as readonly Row[])[0]?.[2]).toEqual(Buffer.from('6\n'));
    expect(asked.at(-1)).toMatchObject({ tail: null, until: 5000n, follow: false });
  });

  it('selects streams, keeps bytes as they are, and lets go of the log', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.create();
    const asked = giveLog(fixture, [
      record({ text: '\xff\x00', stream: 'stderr', partial: true }),
      record({ text: '' }),
    ]);
    const [lines] = await fixture.call(path, 'GetLogs', { Streams: variant('y', 2) });
    expect(lines).toEqual([[START_NS / 1000n, 2, Buffer.from([0xff, 0])]]);
    expect(asked[0]?.signal.aborted).toBe(true);
  });

  it('says that there is more when a page is full of long lines', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.create();
    const megabyte = 'x'.repeat(1024 * 1024);
    giveLog(
      fixture,
      [0, 1, 2, 3, 4, 5].map((i) => record({ text: megabyte, second: i, cursor: String(i) })),
    );
    const [lines, cursor, more] = await fixture.call(path, 'GetLogs', NO_OPTIONS);
    expect([(lines as readonly Row[]).length, cursor, more]).toEqual([4, 'c3', true]);
  });
});

describe('OpenLogs', () => {
  const log = [
    record({ text: 'one' }),
    record({ text: 'two', stream: 'stderr', second: 1 }),
    record({ text: '\xff', partial: true, second: 2 }),
  ];

  it.each([
    ['raw', Buffer.from('one\ntwo\n\xff', 'latin1')],
    [
      'multiplexed',
      Buffer.concat([
        frame('stdout', [Buffer.from('one\n')]),
        frame('stderr', [Buffer.from('two\n')]),
        frame('stdout', [Buffer.from([0xff])]),
      ]),
    ],
    [
      'json',
      Buffer.from(
        '{"time":"2023-11-14T22:13:20.000000000Z","stream":"stdout","message":"one"}\n' +
          '{"time":"2023-11-14T22:13:21.000000000Z","stream":"stderr","message":"two"}\n' +
          '{"time":"2023-11-14T22:13:22.000000000Z","stream":"stdout","partial":true,"message":[255]}\n',
      ),
    ],
  ])('writes %s and ends', async (format, expected) => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.create();
    giveLog(fixture, log);
    const peer = await fixture.open(path, 'OpenLogs', { Format: variant('s', format) });
    await peer.ended;
    expect(peer.bytes).toEqual(expected);
  });

  it("writes the journal's export format", async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.create();
    giveLog(fixture, log);
    const peer = await fixture.open(path, 'OpenLogs', { Format: variant('s', 'export') });
    await peer.ended;
    const id = path.slice(-64);
    const common = `CONTAINER_NAME=web\nCONTAINER_ID=${id.slice(0, 12)}\nCONTAINER_ID_FULL=${id}\n`;
    expect(peer.bytes.toString('latin1')).toBe(
      `__REALTIME_TIMESTAMP=1700000000000000\nPRIORITY=6\n${common}MESSAGE=one\n\n` +
        `__REALTIME_TIMESTAMP=1700000001000000\nPRIORITY=3\n${common}MESSAGE=two\n\n` +
        `__REALTIME_TIMESTAMP=1700000002000000\nPRIORITY=6\n${common}CONTAINER_PARTIAL_MESSAGE=true\n` +
        'MESSAGE\n\x01\0\0\0\0\0\0\0\xff\n\n',
    );
  });

  it('goes on after a cursor', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.create();
    giveLog(fixture, numbered(5, false));
    const cursor = variant('s', `t${String(START_NS)}+2`);
    const peer = await fixture.open(path, 'OpenLogs', { Cursor: cursor, Tail: variant('u', 1) });
    expect(await peer.ended).toBe('2\n3\n4\n');
  });

  it('follows a silent log until nobody holds the other end, and no longer', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.run();
    const before = descriptorCount();
    const asked = giveLog(fixture, [record({ text: 'one' })]);
    const peer = await fixture.open(path, 'OpenLogs', { Follow: variant('b', true) });
    await until(() => peer.text === 'one\n');
    expect(asked.at(-1)?.signal.aborted).toBe(false);
    peer.socket.destroy();
    await until(() => asked.at(-1)?.signal.aborted === true && descriptorCount() === before);
  });

  it('writes no faster than the client reads', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.create();
    let given = 0;
    const big = record({ text: 'x'.repeat(64 * 1024 - 1) });
    fixture.engine.containers.logs = () => {
      async function* endless(): AsyncGenerator<readonly LogRecord[]> {
        for (; given < 1000; given += 1) yield [big];
      }
      return { terminal: false, batches: endless() };
    };
    const [fd] = await fixture.call(path, 'OpenLogs', NO_OPTIONS);
    let last = -1;
    await until(() => {
      const isStill = given === last;
      last = given;
      return isStill && given > 0;
    });
    expect(given).toBeLessThan(100);
    fixture.descriptors.close(fd as number);
  });

  it('is cut off when the daemon ends', async () => {
    const fixture = new MirrorFixture().start();
    const path = await fixture.run();
    giveLog(fixture, []);
    const [fd] = await fixture.call(path, 'OpenLogs', { Follow: variant('b', true) });
    const before = descriptorCount();
    fixture[Symbol.dispose]();
    await until(() => descriptorCount() === before - 1);
    fixture.descriptors.close(fd as number);
  });
});

describe('Attach', () => {
  it('goes both ways: the half-close is the end of input, output goes on after it, in frames', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.run(['cat']);
    const peer = await fixture.open(path, 'Attach', NO_OPTIONS);
    peer.socket.end('hello');
    await peer.ended;
    expect(peer.bytes).toEqual(
      Buffer.concat([frame('stdout', [Buffer.from('hello')]), frame('stderr', [Buffer.from('cat: end of stdin\n')])]),
    );
  });

  it('is plain with a terminal, and can be without input', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.run(['sleep'], { terminal: true });
    const peer = await fixture.open(path, 'Attach', { Stdin: variant('b', false) });
    await fixture.engine.containers.kill('web', 'KILL');
    expect(await peer.ended).toBe('');
  });

  it('notices that a client which had closed its half has gone', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.run(['sleep']);
    const before = descriptorCount();
    const peer = await fixture.open(path, 'Attach', NO_OPTIONS);
    peer.socket.end();
    await until(() => peer.socket.writableFinished);
    peer.socket.destroy();
    await until(() => {
      void fixture.clock.advance(2000);
      return descriptorCount() === before;
    });
  });
});

describe('execs', () => {
  it('are objects with a life of their own', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.run();
    const [exec] = await fixture.call(path, 'Exec', ['echo', 'hi'], { User: variant('s', 'nobody') });
    expect(fixture.tree.properties(exec as string)).toMatchObject({ Container: path, Running: false, Tty: false });
    const waited = fixture.call(exec as string, 'Wait');
    const peer = await fixture.open(exec as string, 'Open', { Rows: variant('u', 24), Columns: variant('u', 80) });
    await peer.ended;
    expect(peer.bytes).toEqual(frame('stdout', [Buffer.from('hi\n')]));
    expect(await waited).toEqual([0]);
    expect(await fixture.call(exec as string, 'Wait')).toEqual([0]);
    expect(fixture.tree.sent('Exited')).toMatchObject([{ path: exec, args: [0] }]);
    expect(fixture.changes(exec as string)).toMatchObject([
      { Running: true, Pid: 4343 },
      { Running: false, Pid: 0 },
    ]);
    await expect(fixture.call(exec as string, 'Open', NO_OPTIONS)).rejects.toThrow(/already run/);
  });

  it('start detached, take signals and sizes, and are waited for as long as the caller is there', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.run();
    const [exec] = await fixture.call(path, 'Exec', ['sleep'], { Tty: variant('b', true) });
    await expect(fixture.call(exec as string, 'Signal', 'TERM')).rejects.toThrow(/not running/);
    const left = new AbortController();
    const waited = fixture.callAs(left.signal, exec as string, 'Wait');
    left.abort(new Error('left'));
    await expect(waited).rejects.toThrow('left');
    await fixture.call(exec as string, 'ResizeTTY', 10, 20);
    expect(fixture.engine.containers.resizes).toEqual([{ height: 10, width: 20 }]);
    await fixture.call(exec as string, 'Start');
    expect(fixture.tree.properties(exec as string)).toMatchObject({ ExitCode: 0, Running: false });
  });

  it('OpenShell takes the first shell there is', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.run();
    const [fd, exec] = await fixture.call(path, 'OpenShell', 'root', '', ['-l'], ['A=1']);
    const { spec } = fixture.engine.containers.getExec((exec as string).slice(-64));
    expect(spec).toMatchObject({
      command: ['/bin/sh', '-l'],
      terminal: true,
      user: 'root',
      env: ['A=1'],
      detachKeys: '',
    });
    fixture.descriptors.close(fd as number);
    fixture.engine.containers.findProgram = () => null;
    await expect(fixture.call(path, 'OpenShell', '', '', [], [])).rejects.toThrow(/no shell in container/);
  });
});

describe('a shell', () => {
  it('is hung up on when the client goes, as at the end of a terminal', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.run();
    const startExec = fixture.engine.containers.startExec.bind(fixture.engine.containers);
    fixture.engine.containers.startExec = async (id) => {
      const { run, terminal } = await startExec(id);
      return {
        terminal,
        run: async (client) => {
          const gone = new Promise<void>((resolve) => {
            client.signal.addEventListener('abort', () => resolve());
          });
          await Promise.race([run(client), gone]);
        },
      };
    };
    const peer = await fixture.open(path, 'OpenShell', '', 'sleep', [], []);
    peer.socket.end();
    peer.socket.destroy();
    await until(() => {
      void fixture.clock.advance(2000);
      return fixture.engine.containers.execSignals.length > 0;
    });
    expect(fixture.engine.containers.execSignals).toEqual(['HUP']);
  });
});

describe('open streams', () => {
  it('are no more than the daemon has descriptors for', async () => {
    const { descriptors, clock } = new MirrorFixture();
    using streams = new OpenStreams({ descriptors, clock, logger: silentLogger, maxOpen: 1 });
    const before = descriptorCount();
    const first = new Peer(streams.send(async () => undefined));
    expect(() => streams.converse(async () => undefined)).toThrow('1 streams are open');
    await first.ended;
    first.socket.destroy();
    await until(() => streams.count === 0);
    await until(() => descriptorCount() === before);
  });
});

describe('ExecCapture', () => {
  it('gives both streams and the code', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.run();
    const [code, stdout, stderr] = await fixture.call(path, 'ExecCapture', ['spray', '10'], NO_OPTIONS);
    expect(code).toBe(0);
    expect(String(stdout)).toBe(Array.from({ length: 9 }, (_, i) => `line ${String(i)}\n`).join(''));
    expect(String(stderr)).toBe('line 9\n');
  });

  it('cuts what is too much, and says so', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.run();
    const [, stdout, stderr] = await fixture.call(path, 'ExecCapture', ['spray', '150000'], NO_OPTIONS);
    expect((stdout as Buffer).length).toBe(1024 * 1024);
    expect(String(stderr)).toMatch(/\nmoored: stdout was cut after 1048576 bytes, \d+ are missing\n$/);
  });

  it('takes its command along when the caller leaves', async () => {
    using fixture = new MirrorFixture().start();
    const path = await fixture.run();
    const left = new AbortController();
    let isRunning = false;
    const startExec = fixture.engine.containers.startExec.bind(fixture.engine.containers);
    fixture.engine.containers.startExec = async (id) => {
      const { run, terminal } = await startExec(id);
      const gone = new Promise<void>((resolve) => {
        left.signal.addEventListener('abort', () => resolve());
      });
      const runUntilGone: typeof run = (client) => {
        isRunning = true;
        return Promise.race([run(client), gone]);
      };
      return { terminal, run: runUntilGone };
    };
    const captured = fixture.callAs(left.signal, path, 'ExecCapture', ['sleep'], NO_OPTIONS);
    await until(() => isRunning);
    left.abort(new Error('left'));
    await expect(captured).rejects.toThrow('left');
    expect(fixture.engine.containers.execSignals).toEqual(['KILL']);
  });
});
