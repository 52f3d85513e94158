import { mkdirSync, readdirSync, statSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { SystemClock } from '../../src/base/clock.ts';
import { createLinuxKernel } from '../../src/engine/kernel/linux/index.ts';
import type { LogReadOptions, LogRecord } from '../../src/engine/logging/driver.ts';
import { jsonFileLogDriver as driver } from '../../src/engine/logging/json-file/driver.ts';
import { ConmonMonitor } from '../../src/engine/runtime/conmon/monitor.ts';
import { OciProgram } from '../../src/engine/runtime/oci-program.ts';
import { Bundles, obstacleToContainers, pathOf } from '../support/bundle.ts';

const obstacle = obstacleToContainers();
const SIGKILL = 9;
const LINES = 60_000;
const BOUND_BYTES = 20_000;

/** The log driver reads what the real monitor writes, while it writes and while it is rotated. */
describe.skipIf(obstacle !== null)(`json-file with conmon${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  it('loses and repeats no line across rotations, followed or read afterwards', async () => {
    using bundles = new Bundles();
    const kernel = createLinuxKernel();
    const runtime = new OciProgram({
      kernel,
      name: 'crun',
      path: pathOf('crun') ?? '',
      extraArguments: [],
      root: `${bundles.root}/rt`,
      cgroups: bundles.cgroups,
      cgroupDriver: 'cgroupfs',
    });
    using monitor = new ConmonMonitor({
      kernel,
      clock: new SystemClock(),
      conmonPath: pathOf('conmon') ?? '',
      root: `${bundles.root}/m`,
      cgroups: bundles.cgroups,
    });
    // Ten bursts, each let go by a line of input, so that rotations fall into the middle of the writing.
    const script = `n=0; while read go; do seq $n $((n + ${String(LINES / 10 - 1)})); n=$((n + ${String(LINES / 10)})); done`;
    const { id, path } = bundles.make(['sh', '-c', script]);
    const directory = `${path}/logs`;
    mkdirSync(directory);
    const log = driver.open(id, directory);
    if (log === null) throw new Error('json-file keeps a log');
    const task = await monitor.create({
      containerId: id,
      runtime,
      bundlePath: path,
      logPath: log.path,
      terminal: false,
      stdin: true,
      keepStdinOpen: false,
    });
    await using _ending = {
      [Symbol.asyncDispose]: async () => {
        task.signal(SIGKILL);
        await task.exit;
        await task.delete();
      },
    };
    const ended = new AbortController();
    const following = readAll({ follow: ended.signal });
    const session = await task.attach();
    void session.pipe({ write: () => undefined });
    await task.start();
    for (let burst = 0; burst < 10; burst += 1) {
      session.stdin.write('go\n');
      await expect.poll(() => sizeOf(log.path), { interval: 1 }).toBeGreaterThan(BOUND_BYTES);
      await driver.rotate(log, { 'max-size': String(BOUND_BYTES), 'max-file': '1000' }, () => task.reopenLog());
    }
    session.stdin.end();
    await task.exit;
    ended.abort();
    const expected = Array.from({ length: LINES }, (_, index) => `${String(index)}\n`).join('');
    expect((await following) === expected).toBe(true);
    expect((await readAll({})) === expected).toBe(true);
    expect(await readAll({ tail: 3 })).toBe(expected.split('\n').slice(-4).join('\n'));
    expect(readdirSync(directory).length).toBe(11);

    async function readAll(options: Partial<LogReadOptions>): Promise<string> {
      if (log === null) return '';
      const nobodyLeaves = new AbortController().signal;
      const all = { stdout: true, stderr: true, tail: null, since: null, until: null, follow: null };
      const batches = await Array.fromAsync(driver.read(log, { ...all, signal: nobodyLeaves, ...options }));
      return batches.flat().map(textOf).join('');
    }
  });
});

/** 0 while the monitor has not made it yet. */
function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function textOf({ data }: LogRecord): string {
  return Buffer.from(data).toString();
}
