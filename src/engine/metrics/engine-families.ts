/** The engine itself, in dockerd's names where it has them and those of Prometheus' clients for the process. Pure but for `process`. */
import { readdirSync } from 'node:fs';
import type { ContainerView } from '../containers/types.ts';
import type { Counts } from './counts.ts';
import { labelText, type Family, type Sample } from './exposition.ts';
import type { EngineFacts } from './types.ts';

const US_PER_SECOND = 1e6;

/** What the engine is and what it has. */
export function engineFamilies(
  facts: EngineFacts,
  {
    containers,
    counts,
    followers,
  }: { readonly containers: readonly ContainerView[]; readonly counts: Counts; readonly followers: number },
): readonly Family[] {
  const inState = (state: string, isIn: (view: ContainerView) => boolean): Sample => ({
    labels: labelText({ state }),
    value: containers.filter(isIn).length,
  });
  return [
    {
      name: 'engine_daemon_container_states_containers',
      help: 'The count of containers in various states',
      type: 'gauge',
      samples: [
        inState('paused', ({ state }) => state.status === 'paused'),
        inState('running', ({ state }) => state.status === 'running'),
        inState('stopped', ({ state }) => state.status !== 'paused' && state.status !== 'running'),
      ],
    },
    single('gauge', 'engine_daemon_engine_cpus_cpus', facts.cpuCount, 'The number of cpus that the host system has'),
    {
      name: 'engine_daemon_engine_info',
      help: 'The information related to the engine and the OS it is running on',
      type: 'gauge',
      samples: [{ labels: infoLabels(facts), value: 1 }],
    },
    single(
      'gauge',
      'engine_daemon_engine_memory_bytes',
      facts.memoryBytes,
      'The number of bytes of memory of the host',
    ),
    single('counter', 'engine_daemon_events_total', counts.events, 'The number of events logged'),
    single('gauge', 'engine_daemon_events_subscribers_total', followers, 'The number of current subscribers to events'),
    single('counter', 'engine_daemon_health_checks_total', counts.healthChecks, 'The total number of health checks'),
    single(
      'counter',
      'engine_daemon_health_checks_failed_total',
      counts.failedHealthChecks,
      'The total number of failed health checks',
    ),
  ];
}

/** The daemon's process. */
export function processFamilies(): readonly Family[] {
  const { user, system } = process.cpuUsage();
  return [
    single('counter', 'process_cpu_seconds_total', (user + system) / US_PER_SECOND, 'Processor time used in seconds.'),
    single('gauge', 'process_resident_memory_bytes', process.memoryUsage.rss(), 'Resident memory size in bytes.'),
    single('gauge', 'process_open_fds', readdirSync('/proc/self/fd').length, 'Number of open file descriptors.'),
    single(
      'gauge',
      'process_start_time_seconds',
      performance.timeOrigin / 1000,
      'Start time of the process in seconds since 1970.',
    ),
  ];
}

function infoLabels(facts: EngineFacts): string {
  return labelText({
    architecture: facts.machine,
    commit: 'moored',
    daemon_id: facts.engineId,
    graphdriver: facts.storageDriver,
    kernel: facts.kernelVersion,
    os: facts.operatingSystem,
    os_type: 'linux',
    os_version: facts.osVersion,
    version: facts.engineVersion,
  });
}

function single(type: 'counter' | 'gauge', name: string, value: number, help: string): Family {
  return { name, help, type, samples: [{ labels: '', value }] };
}
