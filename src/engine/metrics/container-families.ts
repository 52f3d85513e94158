/**
 * Containers in cAdvisor's names and units, so that dashboards made for it show them, and in names of our own
 * (`moored_`) where it has none. Pure.
 */
import type { Timestamp } from '../../base/clock.ts';
import type { ContainerView } from '../containers/types.ts';
import type { ContainerUsage } from '../containers/usage.ts';
import type { DeviceCounter, InterfaceCounters } from '../runtime/usage.ts';
import { joined, labelText, type Family, type LabelText, type Sample } from './exposition.ts';

/** One container as it was when it was looked at. */
export interface ContainerSample {
  readonly view: ContainerView;
  /** Null: nothing runs. */
  readonly usage: ContainerUsage | null;
  readonly outOfMemory: number;
}

/** A family, and what one container has to say in it. */
interface Column {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  readonly values: (sample: ContainerSample) => readonly Value[];
}

type Value = readonly [value: number, labels?: LabelText];

const NS_PER_SECOND = 1e9;
const COMPOSE_LABELS = ['com.docker.compose.project', 'com.docker.compose.service'];
const STATES = ['created', 'running', 'paused', 'restarting', 'exited', 'removing', 'dead'] as const;

/** All families of all containers, each made when it is asked for: a thousand containers are a millisecond of work in each. */
export function* containerFamilies(samples: readonly ContainerSample[]): Generator<Family> {
  const labels = samples.map(({ view }) => labelsOf(view));
  for (const { name, help, type, values } of COLUMNS) {
    const lines = samples.flatMap((sample, index) =>
      values(sample).map(([value, more = '']): Sample => ({ labels: joined(labels[index] ?? '', more), value })),
    );
    yield { name, help, type, samples: lines };
  }
}

function labelsOf({ id, name, spec }: ContainerView): LabelText {
  const compose = COMPOSE_LABELS.map((label) => [
    `container_label_${label.replaceAll('.', '_')}`,
    spec.labels[label] ?? '',
  ]);
  return labelText({ id, name, image: spec.image, ...(Object.fromEntries(compose) as Record<string, string>) });
}

const COLUMNS: readonly Column[] = [
  ...cpuColumns(),
  ...memoryColumns(),
  ...processColumns(),
  ...networkColumns(),
  ...blockColumns(),
  ...lifeColumns(),
];

function cpuColumns(): readonly Column[] {
  const total = labelText({ cpu: 'total' });
  return [
    counter('container_cpu_usage_seconds_total', 'Processor time used.', ({ cpu }) => [[seconds(cpu.totalNs), total]]),
    counter('container_cpu_user_seconds_total', 'Processor time used by programs.', ({ cpu }) => [
      [seconds(cpu.userNs)],
    ]),
    counter('container_cpu_system_seconds_total', 'Processor time used by the kernel.', ({ cpu }) => [
      [seconds(cpu.systemNs)],
    ]),
    counter('container_cpu_cfs_periods_total', 'Periods of a processor limit that have passed.', ({ cpu }) => [
      [Number(cpu.periods)],
    ]),
    counter('container_cpu_cfs_throttled_periods_total', 'Periods in which the limit was hit.', ({ cpu }) => [
      [Number(cpu.throttledPeriods)],
    ]),
    counter('container_cpu_cfs_throttled_seconds_total', 'Time spent waiting for the limit.', ({ cpu }) => [
      [seconds(cpu.throttledNs)],
    ]),
  ];
}

function memoryColumns(): readonly Column[] {
  return [
    gauge('container_memory_usage_bytes', 'Memory in use, with all of the page cache.', ({ memory }) =>
      memory === null ? [] : [[Number(memory.currentBytes)]],
    ),
    gauge('container_memory_working_set_bytes', 'Memory in use that could not be taken back at once.', ({ memory }) =>
      memory === null ? [] : [[Math.max(0, Number(memory.currentBytes - memory.inactiveFileBytes))]],
    ),
    gauge('container_memory_max_usage_bytes', 'The most memory that was in use.', ({ memory }) =>
      typeof memory?.peakBytes === 'bigint' ? [[Number(memory.peakBytes)]] : [],
    ),
    gauge('container_spec_memory_limit_bytes', 'Memory limit; 0 without one.', ({ memory }) =>
      memory === null ? [] : [[Number(memory.limitBytes ?? 0n)]],
    ),
    counter('container_memory_failcnt', 'How often the memory limit was hit.', ({ memory }) =>
      memory === null ? [] : [[Number(memory.failures)]],
    ),
  ];
}

function processColumns(): readonly Column[] {
  return [
    gauge('container_threads', 'Processes and threads.', ({ pids }) => (pids === null ? [] : [[Number(pids.current)]])),
    gauge('container_threads_max', 'The most that are allowed; +Inf without a limit.', ({ pids }) =>
      pids === null ? [] : [[pids.limit === null ? Infinity : Number(pids.limit)]],
    ),
  ];
}

function networkColumns(): readonly Column[] {
  const column = (name: string, help: string, pick: (one: InterfaceCounters) => bigint): Column => ({
    name: `container_network_${name}_total`,
    help,
    type: 'counter',
    values: ({ usage }) =>
      (usage?.networks ?? []).map((one) => [Number(pick(one)), labelText({ interface: one.name })]),
  });
  return [
    column('receive_bytes', 'Bytes received.', (one) => one.receivedBytes),
    column('receive_packets', 'Packets received.', (one) => one.receivedPackets),
    column('receive_errors', 'Errors while receiving.', (one) => one.receiveErrors),
    column('receive_packets_dropped', 'Packets dropped while receiving.', (one) => one.receiveDropped),
    column('transmit_bytes', 'Bytes sent.', (one) => one.sentBytes),
    column('transmit_packets', 'Packets sent.', (one) => one.sentPackets),
    column('transmit_errors', 'Errors while sending.', (one) => one.sendErrors),
    column('transmit_packets_dropped', 'Packets dropped while sending.', (one) => one.sendDropped),
  ];
}

function blockColumns(): readonly Column[] {
  const of = (counters: readonly DeviceCounter[], op: string): readonly Value[] =>
    counters
      .filter((one) => one.op.toLowerCase() === op)
      .map(({ major, minor, value }) => [Number(value), labelText({ device: `${String(major)}:${String(minor)}` })]);
  return [
    counter('container_fs_reads_bytes_total', 'Bytes read from block devices.', ({ block }) => of(block.bytes, 'read')),
    counter('container_fs_writes_bytes_total', 'Bytes written to block devices.', ({ block }) =>
      of(block.bytes, 'write'),
    ),
    counter('container_fs_reads_total', 'Reads from block devices.', ({ block }) => of(block.operations, 'read')),
    counter('container_fs_writes_total', 'Writes to block devices.', ({ block }) => of(block.operations, 'write')),
  ];
}

function lifeColumns(): readonly Column[] {
  return [
    {
      name: 'container_start_time_seconds',
      help: 'When the present run started, in seconds since 1970.',
      type: 'gauge',
      values: ({ view: { state } }) =>
        state.status === 'running' || state.status === 'paused' ? [[seconds(state.startedAt)]] : [],
    },
    {
      name: 'container_oom_events_total',
      help: 'How often processes were killed for lack of memory, as far as this daemon has seen.',
      type: 'counter',
      values: ({ outOfMemory }) => [[outOfMemory]],
    },
    {
      name: 'moored_container_restarts_total',
      help: 'Restarts by the restart policy.',
      type: 'counter',
      values: ({ view: { state } }) => [['restartCount' in state ? state.restartCount : 0]],
    },
    {
      name: 'moored_container_state',
      help: '1 for the state that the container is in.',
      type: 'gauge',
      values: ({ view: { state } }) => STATES.map((one) => [one === state.status ? 1 : 0, labelText({ state: one })]),
    },
    {
      name: 'moored_container_health',
      help: '1 for what the health check says; absent without one.',
      type: 'gauge',
      values: ({ view: { health } }) => (health === null ? [] : [[1, labelText({ status: health.status })]]),
    },
    {
      name: 'moored_container_health_failing_streak',
      help: 'Probes that failed one after another.',
      type: 'gauge',
      values: ({ view: { health } }) => (health === null ? [] : [[health.failingStreak]]),
    },
  ];
}

type OfUsage = (resources: ContainerUsage['resources']) => readonly Value[];

function counter(name: string, help: string, values: OfUsage): Column {
  return { name, help, type: 'counter', values: ({ usage }) => (usage === null ? [] : values(usage.resources)) };
}

function gauge(name: string, help: string, values: OfUsage): Column {
  return { ...counter(name, help, values), type: 'gauge' };
}

function seconds(ns: bigint | Timestamp): number {
  return Number(ns) / NS_PER_SECOND;
}
