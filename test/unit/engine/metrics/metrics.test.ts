import { describe, expect, it } from 'vitest';
import { SystemClock } from '../../../../src/base/clock.ts';
import type { ContainerView } from '../../../../src/engine/containers/types.ts';
import type { ContainerUsage } from '../../../../src/engine/containers/usage.ts';
import { createEventBus } from '../../../../src/engine/events/event-bus.ts';
import { labelText, textOf } from '../../../../src/engine/metrics/exposition.ts';
import { Histogram } from '../../../../src/engine/metrics/histogram.ts';
import { createMetrics } from '../../../../src/engine/metrics/index.ts';
import type { EngineFacts } from '../../../../src/engine/metrics/types.ts';
import { ContainersFixture } from '../../../support/containers-fixture.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { readPrometheusText } from '../../../support/prometheus-text.ts';

const FACTS: EngineFacts = {
  engineId: 'id',
  engineVersion: '1',
  kernelVersion: '6',
  operatingSystem: 'An "OS" \\ with\nlines',
  osVersion: '12',
  machine: 'x86_64',
  cpuCount: 2,
  memoryBytes: 2 ** 34,
  storageDriver: 'overlay2',
};

const USAGE: ContainerUsage['resources'] = {
  cgroupVersion: '2',
  cpu: {
    totalNs: 3_000_000_000n,
    userNs: 2_000_000_000n,
    systemNs: 1_000_000_000n,
    perCpuNs: null,
    periods: 0n,
    throttledPeriods: 0n,
    throttledNs: 0n,
  },
  memory: {
    currentBytes: 1000n,
    limitBytes: null,
    peakBytes: null,
    inactiveFileBytes: 400n,
    failures: 0n,
    details: new Map(),
  },
  pids: { current: 3n, limit: null },
  block: { bytes: [{ major: 8n, minor: 0n, op: 'Read', value: 5n }], operations: [] },
};

async function scraped(
  views: readonly ContainerView[],
): Promise<{ readonly text: string; readonly longestMs: number }> {
  const clock = new SystemClock();
  using events = createEventBus(clock);
  using metrics = createMetrics({
    clock,
    events,
    containers: {
      list: () => views,
      get: () => {
        throw new Error('not asked for');
      },
      watch: () => new DisposableStack(),
      usage: async () => ({ resources: USAGE, networks: [], readAt: clock.now() }) as unknown as ContainerUsage,
    },
    facts: async () => FACTS,
    histograms: [],
  });
  let text = '';
  // How long the thread is kept, as seen by a timer that wants to run all the time. Its own time: what other processes
  // take of a busy machine is not this one's doing.
  let longestMs = 0;
  let last = threadMs();
  const ticker = setInterval(() => {
    longestMs = Math.max(longestMs, threadMs() - last);
    last = threadMs();
  }, 0);
  for await (const piece of metrics.scrape(new AbortController().signal)) {
    expect(piece.endsWith('\n')).toBe(true);
    text += piece;
  }
  clearInterval(ticker);
  return { text, longestMs };
}

function threadMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

async function exampleView(): Promise<ContainerView> {
  await using fixture = await ContainersFixture.open();
  const id = await fixture.create({ command: ['true'], labels: { 'com.docker.compose.service': 'web' } });
  return fixture.room.get(id);
}

describe('the text', () => {
  it('escapes what would end a line or a label', () => {
    const family = { name: 'a_b', help: 'one\ntwo \\', type: 'gauge' } as const;
    const text = [...textOf({ ...family, samples: [{ labels: labelText({ l: 'a"b\\c\nd', none: '' }), value: 1.5 }] })];
    expect(text.join('')).toBe('# HELP a_b one\\ntwo \\\\\n# TYPE a_b gauge\na_b{l="a\\"b\\\\c\\nd"} 1.5\n');
    expect([...textOf({ ...family, samples: [] })]).toEqual([]);
  });

  it('of a thousand containers is valid, and keeps nobody waiting', async () => {
    const example = await exampleView();
    const views = Array.from({ length: 1000 }, (_, index) => ({
      ...example,
      id: String(index).padStart(64, '0') as ContainerView['id'],
      name: `c${String(index)}`,
    }));
    const { text, longestMs } = await scraped(views);
    const families = readPrometheusText(text);
    const cpu = families.get('container_cpu_usage_seconds_total')?.samples ?? [];
    expect(cpu).toHaveLength(1000);
    expect(cpu[999]).toMatchObject({
      labels: { name: 'c999', cpu: 'total', container_label_com_docker_compose_service: 'web' },
      value: 3,
    });
    expect(families.get('container_memory_working_set_bytes')?.samples[0]?.value).toBe(600);
    expect(families.get('container_threads_max')?.samples[0]?.value).toBe(Infinity);
    expect(families.get('container_fs_reads_bytes_total')?.samples[0]?.labels['device']).toBe('8:0');
    // Generous: without pauses it is a multiple.
    expect(longestMs).toBeLessThan(250);
  });

  it('ends with its reader', async () => {
    const example = await exampleView();
    const clock = new SystemClock();
    using events = createEventBus(clock);
    const containers = {
      list: () => [example],
      get: () => example,
      watch: () => new DisposableStack(),
      usage: async () => null,
    };
    using metrics = createMetrics({ clock, events, containers, facts: async () => FACTS, histograms: [] });
    const abort = new AbortController();
    abort.abort();
    const pieces: string[] = [];
    for await (const piece of metrics.scrape(abort.signal)) pieces.push(piece);
    expect(pieces).toEqual([]);
  });
});

describe('a histogram', () => {
  it('times what settles, well or not, and leaves all else as it was', async () => {
    const clock = new FakeClock();
    const histogram = new Histogram('t_seconds', { help: 'h', label: 'action' });
    class Target {
      readonly #own = 'own';
      async slow(ms: number): Promise<string> {
        await clock.advance(ms);
        if (ms > 1000) throw new Error('too slow');
        return this.#own;
      }
      other(): string {
        return this.#own;
      }
    }
    const timed = histogram.timing(new Target(), { slow: 'slow' }, clock);
    expect(await timed.slow(20)).toBe('own');
    await expect(timed.slow(3000)).rejects.toThrow('too slow');
    expect(timed.other()).toBe('own');
    const samples = histogram
      .family()
      .samples.map(({ suffix, labels, value }) => `${suffix ?? ''}{${labels}} ${String(value)}`);
    expect(samples).toContain('_bucket{action="slow",le="0.025"} 1');
    expect(samples).toContain('_bucket{action="slow",le="5"} 2');
    expect(samples).toContain('_count{action="slow"} 2');
    expect(samples).toContain('_sum{action="slow"} 3.02');
  });
});
