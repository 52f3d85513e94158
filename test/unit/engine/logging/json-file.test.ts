import { appendFileSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { formatTimestampFixed, parseTimestamp, type Timestamp } from '../../../../src/base/clock.ts';
import type { ContainerId } from '../../../../src/base/ids.ts';
import type { ContainerLog, LogReadOptions, LogRecord } from '../../../../src/engine/logging/driver.ts';
import { jsonFileLogDriver as driver } from '../../../../src/engine/logging/json-file/driver.ts';
import { noneLogDriver } from '../../../../src/engine/logging/none/driver.ts';

let directory = '';
let log: ContainerLog;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'moored-log-'));
  log = driver.open('c' as ContainerId, directory)!;
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

const SECOND = 1_000_000_000n;
const START = parseTimestamp('2026-01-01T00:00:00Z')!;
const at = (i: number): Timestamp => (START + BigInt(i) * SECOND) as Timestamp;

/** A line as conmon writes it. */
function line(i: number, text: string, stream = 'stdout', flag = 'F'): string {
  return `${formatTimestampFixed(at(i)).replace('Z', '+00:00')} ${stream} ${flag} ${text}\n`;
}

const everything: Omit<LogReadOptions, 'signal'> = {
  stdout: true,
  stderr: true,
  tail: null,
  since: null,
  until: null,
  follow: null,
};

async function read(options: Partial<LogReadOptions> = {}): Promise<readonly LogRecord[]> {
  return (
    await Array.fromAsync(driver.read(log, { ...everything, signal: new AbortController().signal, ...options }))
  ).flat();
}

const textOf = (records: readonly LogRecord[]): string =>
  records.map(({ data }) => Buffer.from(data).toString()).join('');

describe('reading', () => {
  it('gives text, stream, time and parts', async () => {
    writeFileSync(
      log.path,
      line(0, 'one') + line(1, 'bad', 'stderr') + line(2, 'half', 'stdout', 'P') + line(3, ' rest'),
    );
    const records = await read();
    expect(
      records.map(({ stream, time, partial, data }) => [stream, time, partial, Buffer.from(data).toString()]),
    ).toEqual([
      ['stdout', at(0), false, 'one\n'],
      ['stderr', at(1), false, 'bad\n'],
      ['stdout', at(2), true, 'half'],
      ['stdout', at(3), false, ' rest\n'],
    ]);
  });

  it('understands other offsets', async () => {
    writeFileSync(log.path, '2026-01-01T02:00:00.000000007+02:00 stdout F x\n');
    expect((await read())[0]?.time).toBe(START + 7n);
  });

  it('filters by stream and time', async () => {
    writeFileSync(log.path, [0, 1, 2, 3].map((i) => line(i, String(i), i % 2 === 0 ? 'stdout' : 'stderr')).join(''));
    expect(textOf(await read({ stderr: false }))).toBe('0\n2\n');
    expect(textOf(await read({ stdout: false }))).toBe('1\n3\n');
    expect(textOf(await read({ since: at(1) }))).toBe('1\n2\n3\n');
    expect(textOf(await read({ since: at(1), until: at(2) }))).toBe('1\n2\n');
  });

  it('of nothing gives nothing', async () => {
    expect(await read()).toEqual([]);
    writeFileSync(log.path, '');
    expect(await read()).toEqual([]);
    expect(await read({ tail: 5 })).toEqual([]);
  });

  it('goes through rotated files, oldest first', async () => {
    writeFileSync(`${log.path}.2`, line(0, 'a'));
    writeFileSync(`${log.path}.1`, line(1, 'b'));
    writeFileSync(log.path, line(2, 'c'));
    expect(textOf(await read())).toBe('a\nb\nc\n');
    expect(textOf(await read({ tail: 2 }))).toBe('b\nc\n');
  });

  it('tails whole lines, however long and however many files', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ length: fc.nat(100_000), partial: fc.boolean() }), { maxLength: 12 }),
        fc.nat(14),
        fc.nat(12),
        async (shapes, tail, cut) => {
          const lines = shapes.map(({ length, partial }, i) =>
            line(i, `${String(i)}${'x'.repeat(length)}`, 'stdout', partial ? 'P' : 'F'),
          );
          writeFileSync(`${log.path}.1`, lines.slice(0, cut).join(''));
          writeFileSync(log.path, lines.slice(cut).join(''));
          const all = textOf(await read());
          const wholeLines = all === '' ? [] : all.replace(/\n$/, '').split('\n');
          const got = textOf(await read({ tail }));
          const wanted = wholeLines.slice(Math.max(0, wholeLines.length - tail)).join('\n');
          expect(tail === 0 ? got : got.replace(/\n$/, '')).toBe(tail === 0 ? '' : wanted);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('following', () => {
  it('loses and repeats nothing while the log is written and rotated', async () => {
    const ended = new AbortController();
    writeFileSync(log.path, line(0, '0'));
    const following = read({ follow: ended.signal });
    for (let i = 1; i < 400; i += 1) {
      // Writes that end in the middle of a record.
      const text = line(i, String(i));
      appendFileSync(log.path, text.slice(0, 50));
      if (i % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
      appendFileSync(log.path, text.slice(50));
      if (i % 50 === 0) {
        // Bounds in sum that no file of these goes over: a slow reader must not miss one.
        await driver.rotate(log, { 'max-size': '1000', 'max-file': '100' }, async () => writeFileSync(log.path, ''));
      }
    }
    ended.abort();
    expect(textOf(await following)).toBe(Array.from({ length: 400 }, (_, i) => `${String(i)}\n`).join(''));
  });

  it('begins before there is a file', async () => {
    const ended = new AbortController();
    const following = read({ follow: ended.signal });
    await new Promise((resolve) => setImmediate(resolve));
    writeFileSync(log.path, line(0, 'first'));
    ended.abort();
    expect(textOf(await following)).toBe('first\n');
  });

  it('stops at once when its reader goes', async () => {
    const gone = new AbortController();
    writeFileSync(log.path, line(0, 'x'));
    const stream = driver
      .read(log, { ...everything, follow: new AbortController().signal, signal: gone.signal })
      [Symbol.asyncIterator]();
    await stream.next();
    const waiting = stream.next();
    gone.abort();
    expect(await waiting).toEqual({ done: true, value: undefined });
  });
});

describe('rotation', () => {
  it('keeps as many files as asked', async () => {
    const almost = String(line(0, '0').length - 1);
    for (let i = 0; i < 6; i += 1) {
      writeFileSync(log.path, line(i, String(i)));
      await driver.rotate(log, { 'max-size': almost, 'max-file': '3' }, async () => writeFileSync(log.path, ''));
    }
    expect(readdirSync(directory).sort()).toEqual(['container.log', 'container.log.1', 'container.log.2']);
    expect(textOf(await read())).toBe('4\n5\n');
  });

  it('keeps fewer where a flood made files larger than their bound', async () => {
    for (let i = 0; i < 6; i += 1) {
      writeFileSync(log.path, line(i, String(i)).repeat(10));
      await driver.rotate(log, { 'max-size': '10', 'max-file': '5' }, async () => writeFileSync(log.path, ''));
    }
    expect(readdirSync(directory).sort()).toEqual(['container.log', 'container.log.1']);
    expect(textOf(await read())).toBe('5\n'.repeat(10));
  });

  it('leaves small and unbounded logs alone', async () => {
    writeFileSync(log.path, line(0, 'x'));
    await driver.rotate(log, {}, () => Promise.reject(new Error('not now')));
    await driver.rotate(log, { 'max-size': '-1' }, () => Promise.reject(new Error('not now')));
    expect(existsSync(`${log.path}.1`)).toBe(false);
  });
});

describe('a cursor', () => {
  const cursorAt = async (index: number): Promise<string> => (await read())[index]?.cursor ?? '';

  it('goes on after its record, also one of the same time, also in the middle of a follow', async () => {
    const [same, early] = [line(0, 'a'), line(0, 'b')];
    writeFileSync(log.path, same + early + line(0, 'c', 'stderr') + line(1, 'd'));
    expect(textOf(await read({ after: await cursorAt(0) }))).toBe('b\nc\nd\n');
    expect(textOf(await read({ after: await cursorAt(1), tail: 1 }))).toBe('c\nd\n');
    expect(textOf(await read({ after: await cursorAt(1), stdout: false }))).toBe('c\n');
    const last = await cursorAt(3);
    expect(await read({ after: last })).toEqual([]);
    appendFileSync(log.path, line(2, 'e'));
    expect(textOf(await read({ after: last }))).toBe('e\n');
  });

  it('finds its record after a rotation, and whatever clock the lines were written by', async () => {
    writeFileSync(log.path, line(5, 'a') + line(6, 'b'));
    const cursor = await cursorAt(0);
    await driver.rotate(log, { 'max-size': '1' }, async () => writeFileSync(log.path, line(1, 'c')));
    expect(existsSync(`${log.path}.1`)).toBe(true);
    expect(textOf(await read({ after: cursor }))).toBe('b\nc\n');
  });

  it('goes on with the oldest there is when its record is gone, also when its inode is used again', async () => {
    writeFileSync(log.path, line(0, 'a'));
    const cursor = await cursorAt(0);
    writeFileSync(log.path, line(7, 'x') + line(8, 'y'));
    expect(textOf(await read({ after: cursor }))).toBe('x\ny\n');
    writeFileSync(`${log.path}.1`, line(5, 'w'));
    expect(textOf(await read({ after: cursor.replace(/^\d+/, '1') }))).toBe('w\nx\ny\n');
    rmSync(log.path);
    rmSync(`${log.path}.1`);
    expect(await read({ after: cursor })).toEqual([]);
  });

  it.each(['', 'x', '1-2', '1-2-3-4', '1-2-x'])('cannot be %j', async (after) => {
    await expect(read({ after })).rejects.toThrow(`invalid log cursor: ${JSON.stringify(after)}`);
  });
});

describe('options', () => {
  it.each([
    [{ nope: '1' }, "unknown log opt 'nope' for json-file log driver"],
    [{ 'max-size': 'big' }, "invalid size: 'big'"],
    [{ 'max-file': 'x' }, 'strconv.Atoi: parsing "x": invalid syntax'],
    [{ 'max-file': '0' }, 'max-file cannot be less than 1'],
    [{ mode: 'sometimes' }, 'logger: logging mode not supported: sometimes'],
    [{ 'max-size': '0' }, 'max-size must be a positive number'],
    [{ 'max-size': '-1', 'max-file': '3' }, 'max-file cannot be set without max-size'],
    [{ compress: 'x' }, 'strconv.ParseBool: parsing "x": invalid syntax'],
    [{ compress: 'true', 'max-file': '1' }, 'compress cannot be true when max-file is less than 2'],
    [{ 'max-buffer-size': '1m' }, "logger: max-buffer-size option is only supported with 'mode=non-blocking'"],
    [{ mode: 'non-blocking', 'max-buffer-size': 'x' }, "error parsing option max-buffer-size: invalid size: 'x'"],
    [{ 'cache-disabled': 'x' }, 'invalid value for option cache-disabled: x'],
    [{ tag: '{{.Foo}}' }, "can't evaluate field Foo"],
  ])('%j: %s', (options, message) => {
    expect(() => driver.validate(options as Record<string, string>)).toThrow(message);
  });

  it('of Docker that work are taken', () => {
    const own = {
      'max-size': '1m',
      'max-file': '3',
      compress: 'true',
      labels: 'a',
      'env-regex': '^b',
      tag: '{{.Name}}',
    };
    expect(() => driver.validate(own)).not.toThrow();
    expect(() => driver.validate({ mode: 'non-blocking', 'max-buffer-size': '4m' })).not.toThrow();
  });

  it('none keeps nothing', () => {
    expect(noneLogDriver.open('c' as ContainerId, directory)).toBeNull();
    expect(() => noneLogDriver.validate({ a: 'b' })).not.toThrow();
  });
});
