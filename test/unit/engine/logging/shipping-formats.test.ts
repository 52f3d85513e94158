import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseTimestamp, type Timestamp } from '../../../../src/base/clock.ts';
import { gelfMessage, gelfPackets } from '../../../../src/engine/logging/gelf/message.ts';
import { LineEncoder } from '../../../../src/engine/logging/json-file/encode.ts';
import { dialFailure, parseTransportUrl, splitHostPort } from '../../../../src/engine/logging/options/address.ts';
import {
  atoi,
  durationMs,
  humanSize,
  parseBool,
  ramInBytes,
} from '../../../../src/engine/logging/options/go-values.ts';
import { decodePosition } from '../../../../src/engine/logging/pump/position.ts';
import { LineJoiner } from '../../../../src/engine/logging/pump/line-joiner.ts';
import { goJson, goJsonMap, textOf, type LogEntry } from '../../../../src/engine/logging/sink.ts';
import { syslogLogDriver } from '../../../../src/engine/logging/syslog/driver.ts';
import { syslogMessage, type Sender } from '../../../../src/engine/logging/syslog/format.ts';
import { record } from '../../../support/shipped-log.ts';

const TIME = parseTimestamp('2026-01-02T03:04:05.120000000Z') ?? (0n as Timestamp);
const MAX_LINE = 16 * 1024;

function entry(text: string | Buffer, more: Partial<LogEntry> = {}): LogEntry {
  const bytes = Buffer.from(text as string);
  return { stream: 'stdout', time: TIME, bytes, start: 0, end: bytes.length, part: null, endsRecord: true, ...more };
}

function encoded(one: LogEntry, attrs: string | null = null): string {
  const encoder = new LineEncoder(attrs);
  encoder.add(one);
  return encoder.bytes.toString('utf8');
}

describe('a line of json-file', () => {
  it.each([
    ['plain', 'plain'],
    ['', ''],
    ['"\\ \t\r\u001b', '\\"\\\\ \\u0009\\r\\u001b'],
    ['<a>&', '\\u003ca\\u003e\\u0026'],
    ['ä€😀\u2028\u2029\u007f', 'ä€😀\\u2028\\u2029\u007f'],
  ])('%j', (text, json) => {
    expect(encoded(entry(text))).toBe(`{"log":"${json}\\n","stream":"stdout","time":"2026-01-02T03:04:05.12Z"}\n`);
  });

  it('tells of bytes that are no text, each by itself', () => {
    const bad = Buffer.from([0xff, 0x41, 0xe2, 0x82, 0x20, 0xed, 0xa0, 0x80, 0xc0, 0xaf, 0xf4, 0x90, 0x80, 0x80, 0xc3]);
    const expected = `\\ufffdA\\ufffd\\ufffd ${'\\ufffd'.repeat(10)}`;
    expect(encoded(entry(bad))).toContain(`{"log":"${expected}\\n"`);
    expect(textOf(entry(bad))).toBe(JSON.parse(`"${expected}"`));
  });

  it('has attributes before the time, and no newline where a part goes on', () => {
    const part = { id: 'x', ordinal: 1, isLast: false };
    expect(encoded(entry('a', { stream: 'stderr', part }), '{"k":"v"}')).toBe(
      '{"log":"a","stream":"stderr","attrs":{"k":"v"},"time":"2026-01-02T03:04:05.12Z"}\n',
    );
    expect(encoded(entry('a', { part: { ...part, isLast: true } }))).toContain('"a\\n"');
  });

  it('gives back any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        expect((JSON.parse(encoded(entry(text))) as { log: string }).log).toBe(`${Buffer.from(text).toString()}\n`);
      }),
    );
  });
});

describe('Go’s JSON', () => {
  it('escapes for HTML, sorts by bytes', () => {
    expect(goJson('a"\\b\b\f<&>\u2028')).toBe('"a\\"\\\\b\\u0008\\u000c\\u003c\\u0026\\u003e\\u2028"');
    expect(goJsonMap({ b: '1', ä: '2', B: '3' })).toBe('{"B":"3","b":"1","ä":"2"}');
  });
});

describe('lines put together', () => {
  const texts = (entries: readonly LogEntry[]): readonly string[] => entries.map(textOf);

  it('are those of the process, whatever pieces the monitor wrote them in', () => {
    const joiner = new LineJoiner();
    const first = joiner.join(
      Buffer.from(record(0, 'one') + record(1, 'tw', 'stdout', 'P') + record(2, 'err', 'stderr')),
    );
    expect(texts(first)).toEqual(['one', 'err']);
    const second = joiner.join(Buffer.from(record(3, 'o') + 'no record\n' + record(4, '')));
    expect(second.map(({ part, endsRecord }) => [part, endsRecord])).toEqual([
      [null, true],
      [null, true],
    ]);
    expect(texts(second)).toEqual(['two', '']);
    joiner.join(Buffer.from(record(5, 'end', 'stderr', 'P')));
    const rest = joiner.flush();
    expect(rest).toMatchObject([{ stream: 'stderr', part: { ordinal: 1, isLast: false } }]);
    expect(joiner.flush()).toEqual([]);
  });

  it('are cut at 16 KiB, with one time and id for all parts', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20_000), { minLength: 1, maxLength: 6 }), (lengths) => {
        const joiner = new LineJoiner();
        const entries = lengths.flatMap((length, i) =>
          joiner.join(Buffer.from(record(i, 'x'.repeat(length), 'stdout', i === lengths.length - 1 ? 'F' : 'P'))),
        );
        const total = lengths.reduce((sum, length) => sum + length, 0);
        expect(texts(entries).join('').length).toBe(total);
        const isCut = total >= MAX_LINE;
        expect(entries).toHaveLength(Math.floor(total / MAX_LINE) + 1);
        expect(entries.at(-1)?.part?.isLast).toBe(isCut ? true : undefined);
        expect(entries.map(({ part }) => part?.ordinal ?? 1)).toEqual(entries.map((_, i) => i + 1));
        expect(new Set(entries.map(({ part }) => part?.id)).size).toBe(1);
        expect(new Set(entries.map(({ time }) => time)).size).toBe(1);
      }),
      { numRuns: 50 },
    );
  });
});

describe('syslog', () => {
  it('has no record of its own from a name with a line break', () => {
    const hostile = {
      id: 'a'.repeat(64),
      name: 'web',
      imageId: 'sha256:1',
      imageName: 'web\n<0>forged',
      command: [],
      createdAt: 0n as Timestamp,
      labels: {},
      env: [],
    };
    const options = { 'syslog-address': 'udp://127.0.0.1:514', tag: '{{.ImageName}}' };
    expect(syslogLogDriver.sink(hostile, options, null)).toMatchObject({ tag: 'web <0>forged' });
  });

  const sender: Sender = { format: 'rfc5424', facility: 3, isFramed: true, tag: 't', hostname: 'h', pid: 7 };

  it('frames by the length in bytes, and sends no empty line', () => {
    const message = syslogMessage(sender, entry('ä'))?.toString() ?? '';
    const [, length, rest] = /^(\d+) (.*)$/s.exec(message) ?? [];
    expect(Buffer.byteLength(rest ?? '')).toBe(Number(length));
    expect(rest).toMatch(/^<30>1 2026-01-0\dT\d\d:\d\d:05(Z|[+-]\d\d:\d\d) h t 7 t - ä\n$/);
    expect(syslogMessage(sender, entry(''))).toBeNull();
  });

  it.each(['unix', 'rfc3164'] as const)('%s has the day padded by a blank', (format) => {
    const host = format === 'unix' ? '' : 'h ';
    const text = syslogMessage({ ...sender, format, isFramed: false }, entry('x', { stream: 'stderr' }))?.toString();
    expect(text).toMatch(new RegExp(`^<27>Jan  \\d \\d\\d:\\d\\d:05 ${host}t\\[7\\]: x\\n$`));
  });
});

describe('gelf', () => {
  it('drops what would need more than 128 chunks', () => {
    const message = gelfMessage(entry('x'.repeat(200_000)), '"_a":"b"');
    expect(gelfPackets(message, 'none', 1)).toEqual([]);
    expect(gelfPackets(message, 'gzip', 1)).toHaveLength(1);
    expect(gelfPackets(gelfMessage(entry('x'.repeat(3000)), '"_a":"b"'), 'none', 1)).toHaveLength(3);
  });
});

describe('Go’s values', () => {
  it('are read as Go reads them', () => {
    expect([atoi('-3'), ramInBytes('1k'), humanSize('1k'), humanSize('10m'), durationMs('1.5s')]).toEqual([
      -3, 1024, 1000, 10_000_000, 1500,
    ]);
    expect([parseBool('T'), parseBool('0')]).toEqual([true, false]);
  });

  it.each([
    [() => atoi('1x'), 'strconv.Atoi: parsing "1x": invalid syntax'],
    [() => parseBool('yes'), 'strconv.ParseBool: parsing "yes": invalid syntax'],
    [() => ramInBytes('-1'), "invalid size: '-1'"],
    [() => durationMs('3'), 'time: missing unit in duration "3"'],
    [() => durationMs(''), 'time: invalid duration ""'],
    [() => splitHostPort('a:b:c'), 'address a:b:c: too many colons in address'],
    [() => splitHostPort('[::1'), "address [::1: missing ']' in address"],
  ])('refuse %s', (read, text) => {
    expect(read).toThrow(text);
  });
});

describe('addresses', () => {
  it('are taken apart', () => {
    expect(parseTransportUrl('tcp+tls://h:1')).toEqual({ scheme: 'tcp+tls', host: 'h:1', path: '' });
    expect(parseTransportUrl('unix:///a%20b')).toEqual({ scheme: 'unix', host: '', path: '/a b' });
    expect(parseTransportUrl('http://x')).toBeNull();
    expect([splitHostPort('[::1]:5'), splitHostPort('h')]).toEqual([{ host: '::1', port: '5' }, null]);
  });

  it('that cannot be reached are told of in Go’s words', () => {
    const failed = (code: string): Error => Object.assign(new Error('x'), { code });
    expect(dialFailure('tcp', 'h:1', failed('ECONNREFUSED'))).toBe('dial tcp h:1: connect: connection refused');
    expect(dialFailure('tcp', 'h:1', failed('ENOTFOUND'))).toBe('dial tcp: lookup h: no such host');
    expect(dialFailure('tcp', 'h:1', new Error('i/o timeout'))).toBe('dial tcp h:1: i/o timeout');
  });
});

describe('a position', () => {
  it('that is torn or missing is none', () => {
    expect(decodePosition('')).toBeNull();
    expect(decodePosition('{"inode":1,"off')).toBeNull();
    expect(decodePosition('{"inode":1,"offset":2,"head":"","mark":"","open":{}}\nrest of a longer one')).toMatchObject({
      offset: 2,
    });
  });
});
