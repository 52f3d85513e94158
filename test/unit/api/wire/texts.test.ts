import { describe, expect, it } from 'vitest';
import { progressLine } from '../../../../src/api/stream/progress.ts';
import { encodeLogs } from '../../../../src/api/stream/mux.ts';
import { registryAuthOfField } from '../../../../src/api/wire/auth.ts';
import { statusText, stateDocument } from '../../../../src/api/wire/container-state.ts';
import { humanDuration } from '../../../../src/api/wire/duration.ts';
import { humanSize } from '../../../../src/base/byte-size.ts';
import { eventLine } from '../../../../src/api/wire/event.ts';
import { Query } from '../../../../src/api/query.ts';
import type { Timestamp } from '../../../../src/base/clock.ts';
import type { ContainerState, LogRecord } from '../../../../src/engine/index.ts';
import { framesOf } from '../../../support/api-server.ts';

const NS = 1_000_000_000n;
const at = (seconds: number): Timestamp => (BigInt(seconds) * NS) as Timestamp;

describe('durations and sizes', () => {
  it.each([
    [0.5, 'Less than a second'],
    [1.9, '1 second'],
    [59, '59 seconds'],
    [60, 'About a minute'],
    [119, 'About a minute'],
    [120, '2 minutes'],
    [3599, '59 minutes'],
    [3600, 'About an hour'],
    [5400, '2 hours'],
    [47 * 3600, '47 hours'],
    [48 * 3600, '2 days'],
    [13 * 86400, '13 days'],
    [14 * 86400, '2 weeks'],
    [60 * 86400, '2 months'],
    [729 * 86400, '24 months'],
    [730 * 86400, '2 years'],
  ])('%d s is %s', (seconds, text) => {
    expect(humanDuration(seconds)).toBe(text);
  });

  it.each([
    [0, '0B'],
    [999, '999B'],
    [1000, '1kB'],
    [1_234_567, '1.235MB'],
    [123_456_789, '123.5MB'],
    [2_000_000_000, '2GB'],
  ])('%d bytes are %s', (bytes, text) => {
    expect(humanSize(bytes)).toBe(text);
  });
});

describe('states', () => {
  const lastExit = { exitCode: 3, startedAt: at(90), finishedAt: at(95), oomKilled: true, error: '' };
  it.each<[ContainerState, string, object]>([
    [{ status: 'created', error: '', exitCode: 0 }, 'Created', { Running: false, ExitCode: 0 }],
    [
      { status: 'running', pid: 7, startedAt: at(40), restartCount: 0, lastExit },
      'Up About a minute',
      { Running: true, Pid: 7, ExitCode: 0, OOMKilled: false },
    ],
    [
      { status: 'paused', pid: 7, startedAt: at(98), restartCount: 0, lastExit: null },
      'Up 2 seconds (Paused)',
      { Running: true, Paused: true },
    ],
    [
      { status: 'restarting', restartCount: 1, lastExit },
      'Restarting (3) 5 seconds ago',
      { Running: true, Restarting: true, ExitCode: 3 },
    ],
    [
      { status: 'exited', restartCount: 0, lastExit },
      'Exited (3) 5 seconds ago',
      { Running: false, OOMKilled: true, FinishedAt: '1970-01-01T00:01:35Z' },
    ],
    [
      { status: 'removing', restartCount: 0, lastExit: null },
      'Removal In Progress',
      { StartedAt: '0001-01-01T00:00:00Z' },
    ],
    [{ status: 'dead', restartCount: 0, lastExit: null, error: 'x' }, 'Dead', { Dead: true, Error: 'x' }],
  ])('row %#', (state, text, document) => {
    expect(statusText({ state, health: null }, at(100))).toBe(text);
    expect(stateDocument({ state, health: null })).toMatchObject({ Status: state.status, ...document });
  });
});

describe('streams', () => {
  it('prints progress as jsonmessage does', () => {
    expect(progressLine({ status: 'Pulling from library/busybox', id: 'latest' })).toBe(
      '{"status":"Pulling from library/busybox","id":"latest"}\r\n',
    );
    expect(progressLine({ status: 'Pulling fs layer', id: 'a' })).toBe(
      '{"status":"Pulling fs layer","progressDetail":{},"id":"a"}\r\n',
    );
    expect(progressLine({ status: 'Downloading', id: 'a', current: 500_000, total: 2_000_000 })).toBe(
      `{"status":"Downloading","progressDetail":{"current":500000,"total":2000000},"progress":"[${'='.repeat(12)}\\u003e${' '.repeat(38)}]    500kB/2MB","id":"a"}\r\n`,
    );
    expect(progressLine({ stream: 'Loaded image: x\n' })).toBe('{"stream":"Loaded image: x\\n"}\r\n');
  });

  it('frames log lines one by one, or many at once for a client that joins them, never two streams', () => {
    const record = (stream: 'stdout' | 'stderr', data: string): LogRecord => ({
      stream,
      time: at(1),
      data: Buffer.from(data),
      partial: false,
    });
    const batch = [record('stdout', 'a\n'), record('stdout', 'b\n'), record('stderr', 'c\n')];
    const bare = { terminal: false, timestamps: false, details: '' };
    expect(framesOf(Buffer.concat(encodeLogs(batch, { ...bare, joinsLines: true })))).toEqual([
      { stream: 1, text: 'a\nb\n' },
      { stream: 2, text: 'c\n' },
    ]);
    expect(framesOf(Buffer.concat(encodeLogs(batch, { ...bare, joinsLines: false })))).toEqual([
      { stream: 1, text: 'a\n' },
      { stream: 1, text: 'b\n' },
      { stream: 2, text: 'c\n' },
    ]);
    const timed = Buffer.concat(
      encodeLogs(batch, { terminal: true, timestamps: true, details: 'k=v ', joinsLines: false }),
    );
    expect(timed.toString().split('\n')[0]).toBe('1970-01-01T00:00:01.000000000Z k=v a');
    const many = Array.from({ length: 10_000 }, () => record('stdout', 'x'.repeat(9)));
    for (const joinsLines of [true, false]) {
      const chunks = encodeLogs(many, { ...bare, joinsLines });
      expect(chunks.length).toBeLessThan(7);
      const text = framesOf(Buffer.concat(chunks)).map((frame) => frame.text);
      expect(text.join('')).toBe('x'.repeat(90_000));
      expect(text.length === many.length).toBe(!joinsLines);
    }
  });

  it('keeps the nanoseconds of events and the fields of old clients', () => {
    const event = { type: 'container', action: 'die', actorId: 'i', attributes: { image: 'b' } } as const;
    expect(eventLine({ ...event, time: 1795236715863366618n as Timestamp })).toBe(
      '{"status":"die","id":"i","from":"b","Type":"container","Action":"die","Actor":{"ID":"i","Attributes":{"image":"b"}},"scope":"local","time":1795236715,"timeNano":1795236715863366618}\n',
    );
  });
});

describe('values of clients', () => {
  it.each([
    ['', false],
    ['0', false],
    ['no', false],
    ['False', false],
    [' none ', false],
    ['1', true],
    ['yes', true],
    ['anything', true],
  ])('boolean %j is %s', (text, value) => {
    expect(new Query(new URLSearchParams({ a: text }).toString()).boolean('a')).toBe(value);
  });

  it('reads times as the CLI writes them', () => {
    const query = new Query('a=1700000000&b=1700000000.000000001&c=0&d=x&e=2023-11-14T22:13:20Z');
    expect(query.time('a')).toBe(1700000000n * NS);
    expect(query.time('b')).toBe(1700000000n * NS + 1n);
    expect(query.time('c')).toBe(0n);
    expect(() => query.time('d')).toThrow('strconv.ParseInt: parsing "x": invalid syntax');
    expect(query.time('e')).toBe(1700000000n * NS);
  });

  it('reads credentials in either alphabet, padded or not, and ignores rubbish', () => {
    const json = JSON.stringify({ username: 'ü>?', password: 'p' });
    const wanted = { username: 'ü>?', password: 'p' };
    for (const text of [
      Buffer.from(json).toString('base64'),
      Buffer.from(json).toString('base64url'),
      Buffer.from(json).toString('base64').replace(/=+$/, ''),
    ]) {
      expect(registryAuthOfField(text)).toEqual(wanted);
    }
    for (const text of [undefined, '', 'e30=', 'bnVsbA==', '!!!', 'W10=']) expect(registryAuthOfField(text)).toBeNull();
    const basic = Buffer.from(JSON.stringify({ auth: Buffer.from('u:p:q').toString('base64') })).toString('base64');
    expect(registryAuthOfField(basic)).toEqual({ username: 'u', password: 'p:q' });
  });
});
