/** Receivers and disks that fail while a container writes: what is lost is counted and said, nothing else is. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { jsonFileLogDriver } from '../../src/engine/logging/json-file/driver.ts';
import { syslogLogDriver } from '../../src/engine/logging/syslog/driver.ts';
import { startStreamReceiver, type StreamReceiver } from '../support/log-receivers.ts';
import { LOGGED, record, ShippedLog } from '../support/shipped-log.ts';

const TIMEOUT = { timeout: 20_000 };

function numbersIn(text: string): readonly number[] {
  return [...text.matchAll(/: line (\d+)\n/g)].map(([, number]) => Number(number));
}

function upTo(count: number): readonly number[] {
  return Array.from({ length: count }, (_, number) => number);
}

function lines(from: number, to: number): readonly string[] {
  return Array.from({ length: to - from }, (_, i) => record(from + i, `line ${String(from + i)}`));
}

function syslogTo(receiver: StreamReceiver): ShippedLog {
  return new ShippedLog(syslogLogDriver, { 'syslog-address': `tcp://127.0.0.1:${String(receiver.port)}` });
}

describe('a receiver', () => {
  it('that goes away gets what was written meanwhile when it is back, over rotations', async () => {
    await using receiver = await startStreamReceiver();
    await using log = syslogTo(receiver);
    log.write(...lines(0, 10));
    await expect.poll(() => numbersIn(receiver.text()), TIMEOUT).toEqual(upTo(10));
    await receiver.away();
    for (let from = 10; from < 50; from += 10) {
      log.write(...lines(from, from + 10));
      log.rotate();
    }
    await expect.poll(() => log.logger.messages('warn'), TIMEOUT).toHaveLength(1);
    expect(log.logger.lines.find(({ level }) => level === 'warn')?.fields).toMatchObject({
      driver: 'syslog',
      reason: expect.stringMatching(/connection refused|EPIPE|closed|reset/),
    });
    await receiver.listen();
    await expect.poll(() => numbersIn(receiver.text()), TIMEOUT).toEqual(upTo(50));
    expect(log.logger.lines.at(-1)).toMatchObject({ level: 'info', fields: { droppedLines: 0 } });
  });

  it('that is away for too long misses the oldest lines, which are counted', async () => {
    await using receiver = await startStreamReceiver();
    await using log = syslogTo(receiver);
    log.write(...lines(0, 10));
    await expect.poll(() => numbersIn(receiver.text()), TIMEOUT).toEqual(upTo(10));
    await receiver.away();
    log.write(...lines(10, 20));
    await expect.poll(() => log.logger.messages('warn'), TIMEOUT).toHaveLength(1);
    // Two rotated files are kept: of seven, with the one held in the hand, four are lost.
    for (let from = 20; from < 90; from += 10) {
      log.rotate(3);
      await expect.poll(() => openPaths(), TIMEOUT).toContain(log.shipment.logPath);
      log.write(...lines(from, from + 10));
    }
    await receiver.listen();
    await expect.poll(() => numbersIn(receiver.text()).at(-1), TIMEOUT).toBe(89);
    const got = numbersIn(receiver.text());
    expect(new Set(got).size).toBe(got.length);
    await expect.poll(() => log.logger.lines.at(-1)?.fields['droppedLines'], TIMEOUT).toBe(90 - got.length);
    expect(got.length).toBeGreaterThanOrEqual(40);
    expect(log.logger.messages('warn')).toHaveLength(2);
  });

  it('that dies in the middle of a flood gets all of it in the end', async () => {
    await using receiver = await startStreamReceiver();
    await using log = syslogTo(receiver);
    log.write(...lines(0, 20_000));
    await expect.poll(() => numbersIn(receiver.text()).length, { ...TIMEOUT, interval: 1 }).toBeGreaterThan(100);
    await receiver.away();
    await receiver.listen();
    await expect.poll(() => new Set(numbersIn(receiver.text())).has(19_999), TIMEOUT).toBe(true);
    // What lay in the kernel's buffers when it died is what TCP does not tell of: at most those are missing.
    expect(new Set(numbersIn(receiver.text())).size).toBeGreaterThan(10_000);
  });

  it('that reads nothing holds up nobody else, and not the end of the engine', async () => {
    await using deaf = await startStreamReceiver({ isDeaf: true });
    await using log = syslogTo(deaf);
    log.write(...lines(0, 100_000));
    await expect.poll(() => deaf.connections(), TIMEOUT).toBe(1);
    await log.shipping.settled(log.shipment.containerId, 10);
    const begun = performance.now();
    await log.restart();
    expect(performance.now() - begun).toBeLessThan(20_000);
  });
});

describe('a container that is removed', () => {
  it('has no file that is open or written any more, whoever asks and however often', async () => {
    await using log = new ShippedLog(jsonFileLogDriver, {});
    const { containerId } = log.shipment;
    log.write(...lines(0, 50_000));
    await expect.poll(() => openPaths(), { ...TIMEOUT, interval: 1 }).toContain(log.shipment.positionPath);
    const atItsEnd = log.shipping.forget(containerId);
    await log.shipping.forget(containerId);
    expect(openPaths().filter((path) => path.startsWith(log.directory))).toEqual([]);
    await atItsEnd;
    await log.shipping.forget(containerId);
  });
});

describe('an engine that is killed', () => {
  it('repeats no more than its last batch: the position is written after each', async () => {
    await using receiver = await startStreamReceiver();
    await using log = syslogTo(receiver);
    log.write(...lines(0, 1000));
    await expect.poll(() => numbersIn(receiver.text()), TIMEOUT).toEqual(upTo(1000));
    const position = readFileSync(log.shipment.positionPath);
    log.write(...lines(1000, 1100));
    await expect.poll(() => numbersIn(receiver.text()), TIMEOUT).toEqual(upTo(1100));
    await log.restart();
    expect(numbersIn(receiver.text())).toEqual(upTo(1100));
    // As a kill between a batch and its position leaves it.
    await log.shipping[Symbol.asyncDispose]();
    writeFileSync(log.shipment.positionPath, position);
    await log.restart();
    await expect.poll(() => numbersIn(receiver.text()).length, TIMEOUT).toBe(1200);
    expect(numbersIn(receiver.text()).slice(1100)).toEqual(upTo(1100).slice(1000));
  });

  it('repeats nothing in a file, also where a rotation came between', async () => {
    const padded = (from: number): readonly string[] =>
      lines(from, from + 100).map((text) => text.replace(/\d+\n$/, (number) => number.padStart(5, '0')));
    // A batch fills the file to the byte, so that the next one begins with a rotation.
    const sizeBytes = 100 * `{"log":"line 0000\\n","stream":"stdout","time":"2026-01-02T03:04:05.123456789Z"}\n`.length;
    await using log = new ShippedLog(jsonFileLogDriver, { 'max-size': String(sizeBytes), 'max-file': '99' });
    const path = join(log.directory, `${LOGGED.id}-json.log`);
    for (let from = 0; from < 400; from += 100) {
      const position = from === 0 ? null : readFileSync(log.shipment.positionPath);
      log.write(...padded(from));
      await expect
        .poll(() => existsSync(path) && readFileSync(path, 'utf8'), TIMEOUT)
        .toContain(`line 0${String(from + 99).padStart(3, '0')}`);
      await log.shipping[Symbol.asyncDispose]();
      if (position !== null) writeFileSync(log.shipment.positionPath, position);
      await log.restart();
      await expect.poll(() => isCaughtUp(log), TIMEOUT).toBe(true);
    }
    await log.end();
    const files = log.names().filter((name) => name.includes('-json.log'));
    expect(files).toHaveLength(4);
    const ordered = files.toSorted((a, b) => Number(/\d+$/.exec(b)?.[0] ?? 0) - Number(/\d+$/.exec(a)?.[0] ?? 0));
    const text = ordered.map((name) => readFileSync(join(log.directory, name), 'utf8')).join('');
    const got = [...text.matchAll(/"log":"line (\d+)\\n"/g)].map(([, number]) => Number(number));
    expect(got).toEqual(upTo(400));
  });
});

const isRoot = process.getuid?.() === 0;
describe.skipIf(!isRoot)(`a full disk${isRoot ? '' : ' (skipped: mounting needs root)'}`, () => {
  it('is said once; shipping goes on where it was when there is room', async () => {
    const disk = mkdtempSync(join(tmpdir(), 'log-disk-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', disk]);
    try {
      await using log = new ShippedLog(jsonFileLogDriver, {}, disk);
      log.write(...lines(0, 500));
      const path = join(log.directory, `${LOGGED.id}-json.log`);
      await expect.poll(() => readFileSync(path, 'utf8'), TIMEOUT).toContain('line 499');
      const filler = join(disk, 'filler');
      log.write(...lines(500, 900));
      fill(filler);
      await expect.poll(() => log.logger.messages('warn').length, TIMEOUT).toBe(1);
      rmSync(filler, { recursive: true });
      await expect.poll(() => readFileSync(path, 'utf8'), TIMEOUT).toContain('line 899');
      const got = [...readFileSync(path, 'utf8').matchAll(/"log":"line (\d+)\\n"/g)].map(([, number]) =>
        Number(number),
      );
      expect(got).toEqual(upTo(900));
      expect(log.logger.messages('warn')).toHaveLength(1);
    } finally {
      execFileSync('umount', [disk]);
      rmSync(disk, { recursive: true });
    }
  });
});

function isCaughtUp({ shipment }: ShippedLog): boolean {
  const [line = ''] = readFileSync(shipment.positionPath, 'utf8').split('\n');
  return (JSON.parse(line) as { readonly offset: number }).offset === statSync(shipment.logPath).size;
}

/** What this process has open, by the names that it has now. */
function openPaths(): readonly string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return [];
    }
  });
}

function fill(path: string): void {
  mkdirSync(path);
  for (let size = 64 * 1024; size >= 1; size = Math.floor(size / 2)) {
    try {
      for (let i = 0; ; i += 1) writeFileSync(join(path, `${String(size)}-${String(i)}`), Buffer.alloc(size));
    } catch {
      // Smaller ones may find room yet.
    }
  }
}
