import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PoolWatch } from '../../../../../src/engine/storage/devicemapper/pool/pool-watch.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';
import { FakeThinPool } from '../../../../support/fake-thin-pool.ts';
import { RecordingLogger } from '../../../../support/recording-logger.ts';

const PREFIX = 'docker-1:2-3-';
const MAX_RETRIES = 'error/metadata/ENOSPC/max_retries';

let sysfs: string;
let pool: FakeThinPool;
let clock: FakeClock;
let logger: RecordingLogger;
let tell: (() => void) | null;

const mapper = {
  watch: (listener: () => void): Disposable => {
    tell = listener;
    return { [Symbol.dispose]: () => (tell = null) };
  },
};
const begin = (): PoolWatch => new PoolWatch({ pool, prefix: PREFIX, xfsRetries: '0', mapper, clock, logger, sysfs });
const file = (path: string, text: string): void => {
  mkdirSync(dirname(join(sysfs, path)), { recursive: true });
  writeFileSync(join(sysfs, path), text);
};
const retriesOf = (device: string): string => readFileSync(join(sysfs, 'fs/xfs', device, MAX_RETRIES), 'utf8');

beforeEach(() => {
  sysfs = mkdtempSync(join(tmpdir(), 'sys-'));
  pool = new FakeThinPool();
  clock = new FakeClock();
  logger = new RecordingLogger();
});
afterEach(() => rmSync(sysfs, { recursive: true, force: true }));

describe('a watched pool', () => {
  it('is looked at once a second at most, and not at all while nothing happens', async () => {
    await using _watch = begin();
    for (let i = 0; i < 5; i++) tell?.();
    await clock.advance(1000);
    await expect.poll(() => pool.calls).toStrictEqual(['status']);
    await clock.advance(60_000);
    tell?.();
    await clock.advance(1000);
    await expect.poll(() => pool.calls).toStrictEqual(['status', 'status']);
  });

  it('warns as it fills, once a step, and again after it was emptier', async () => {
    await using _watch = begin();
    const at = async (share: number, lines: number): Promise<void> => {
      pool.data = { ...pool.data, usedBytes: pool.data.totalBytes * share };
      const looks = pool.calls.length;
      tell?.();
      await clock.advance(1000);
      await expect.poll(() => pool.calls.length).toBe(looks + 1);
      await expect.poll(() => logger.messages('warn').length).toBe(lines);
    };
    await at(0.5, 0);
    await at(0.85, 1);
    await at(0.86, 1);
    await at(0.97, 2);
    await at(0.1, 2);
    await at(0.91, 3);
    expect(logger.messages('warn')).toStrictEqual(
      ['85', '97', '91'].map((share) => `devmapper: data of Thin Pool docker-pool is ${share}% full`),
    );
  });

  it('has xfs give up on its devices when it is full, and on no others', async () => {
    for (const [device, name] of [
      ['dm-3', `${PREFIX}7`],
      ['dm-4', 'vg-home'],
    ] as const) {
      file(`block/${device}/dm/name`, `${name}\n`);
      file(`fs/xfs/${device}/${MAX_RETRIES}`, '-1\n');
    }
    file(`fs/xfs/sda1/${MAX_RETRIES}`, '-1\n');
    file('fs/xfs/stats/stats', '');
    file(`block/dm-5/dm/name`, `${PREFIX}8\n`);
    await using watch = begin();
    await clock.advance(1000);
    await expect.poll(() => pool.calls).toStrictEqual(['status']);
    expect(retriesOf('dm-3')).toBe('-1\n');
    pool.mode = 'out-of-data-space';
    tell?.();
    await clock.advance(1000);
    await expect.poll(() => retriesOf('dm-3')).toBe('0');
    tell?.();
    await clock.advance(1000);
    await watch[Symbol.asyncDispose]();
    expect([retriesOf('dm-4'), retriesOf('sda1')]).toStrictEqual(['-1\n', '-1\n']);
    expect(logger.messages('error')).toStrictEqual([
      'devmapper: Thin Pool docker-pool is out of data space. Remove containers or images, or make its data device larger',
    ]);
    expect(logger.messages('warn')).toStrictEqual([]);
    expect(tell).toBeNull();
  });

  it('goes on after a state that could not be read', async () => {
    await using _watch = begin();
    pool.failAt(1, 'EIO');
    await clock.advance(1000);
    await expect.poll(() => logger.messages('warn')).toHaveLength(1);
    tell?.();
    await clock.advance(1000);
    await expect.poll(() => pool.calls.length).toBe(2);
  });
});
