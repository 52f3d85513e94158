/** What Prometheus gets from a real daemon, on its own address and on the socket. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine } from '../support/engine.ts';
import { readPrometheusText, type ReadFamily, type ReadSample } from '../support/prometheus-text.ts';

let engine: TestEngine;
let address = '';
beforeAll(async () => {
  engine = await TestEngine.start('--metrics-addr', '127.0.0.1:0');
  await engine.importBusybox();
  address = /metrics API listening.*address="?(\S+?:\d+)/.exec(engine.log())?.[1]?.replace(/^tcp:\/\//, '') ?? '';
  await engine.dockerOk(
    ...['run', '-d', '--name', 'runs', '-m', '64m', '--pids-limit', '50', '--label', 'com.docker.compose.project=p"q'],
    ...['--health-cmd', 'true', '--health-interval', '1s', 'busybox', 'sh', '-c', 'ping -c 2 127.0.0.1; sleep 300'],
  );
  await engine.dockerOk('create', '--name', 'rests', 'busybox', 'true');
});
afterAll(async () => {
  await engine.docker(['rm', '-f', 'runs', 'rests']);
  await engine[Symbol.asyncDispose]();
});

async function scrape(): Promise<ReadonlyMap<string, ReadFamily>> {
  const answer = await engine.api('GET', '/metrics');
  expect(answer.status).toBe(200);
  expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
  return readPrometheusText(answer.body);
}

function samplesOf(families: ReadonlyMap<string, ReadFamily>, family: string, name: string): readonly ReadSample[] {
  return families.get(family)?.samples.filter(({ labels }) => labels['name'] === name) ?? [];
}

describe('metrics', () => {
  it('are served at an address of their own, and nothing else is', async () => {
    const answer = await fetch(`http://${address}/metrics`);
    expect(answer.status).toBe(200);
    const families = readPrometheusText(await answer.text());
    expect(families.has('engine_daemon_engine_info')).toBe(true);
    expect((await fetch(`http://${address}/containers/json`)).status).toBe(404);
    expect((await fetch(`http://${address}/v1.40/containers/create`, { method: 'POST', body: '{}' })).status).toBe(404);
  });

  it('have dockerd’s names', async () => {
    const families = await scrape();
    // What dockerd 20.10 and 28 tell of themselves, less Go and swarm.
    for (const name of [
      'builder_builds_failed_total',
      'builder_builds_triggered_total',
      'engine_daemon_container_actions_seconds',
      'engine_daemon_container_states_containers',
      'engine_daemon_engine_cpus_cpus',
      'engine_daemon_engine_info',
      'engine_daemon_engine_memory_bytes',
      'engine_daemon_events_subscribers_total',
      'engine_daemon_events_total',
      'engine_daemon_health_checks_failed_total',
      'engine_daemon_health_checks_total',
      'engine_daemon_network_actions_seconds',
      'process_cpu_seconds_total',
      'process_open_fds',
      'process_resident_memory_bytes',
      'process_start_time_seconds',
    ]) {
      expect([name, families.get(name)?.samples.length]).not.toEqual([name, undefined]);
    }
    const actions = families.get('engine_daemon_container_actions_seconds')?.samples ?? [];
    const counts = actions.filter(({ name }) => name.endsWith('_count')).map(({ labels, value }) => [labels, value]);
    expect(counts).toContainEqual([{ action: 'create' }, 2]);
    expect(counts).toContainEqual([{ action: 'start' }, 1]);
    expect(counts.map(([labels]) => (labels as { readonly action: string }).action).sort()).toEqual(
      'changes commit create delete start'.split(' '),
    );
    const states = families.get('engine_daemon_container_states_containers')?.samples ?? [];
    expect(states.map(({ labels, value }) => [labels['state'], value])).toEqual([
      ['paused', 0],
      ['running', 1],
      ['stopped', 1],
    ]);
  });

  it('count builds', async () => {
    const build = async (dockerfile: string): Promise<void> => {
      await engine.docker(['build', '-'], { stdin: dockerfile });
    };
    await build('FROM busybox\nENV A=b\n');
    await build('FROM busybox\nBAD\n');
    const families = await scrape();
    expect(families.get('builder_builds_triggered_total')?.samples[0]?.value).toBe(2);
    const failed = families.get('builder_builds_failed_total')?.samples.filter(({ value }) => value > 0) ?? [];
    expect(failed.map(({ labels }) => labels)).toEqual([{ reason: 'unknown_instruction_error' }]);
  });

  it('tell of each container what it uses', async () => {
    await engine.dockerOk('exec', 'runs', 'sh', '-c', 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done');
    const families = await scrape();
    const value = (family: string): number | undefined => samplesOf(families, family, 'runs')[0]?.value;
    expect(value('container_cpu_usage_seconds_total')).toBeGreaterThan(0);
    expect(value('container_memory_usage_bytes')).toBeGreaterThan(0);
    expect(value('container_spec_memory_limit_bytes')).toBe(64 * 1024 * 1024);
    expect(value('container_threads_max')).toBe(50);
    expect(value('container_network_receive_bytes_total')).toBeGreaterThanOrEqual(0);
    expect(value('container_start_time_seconds')).toBeGreaterThan(1e9);
    expect(value('moored_container_restarts_total')).toBe(0);
    expect(samplesOf(families, 'container_memory_usage_bytes', 'runs')[0]?.labels).toMatchObject({
      image: 'busybox',
      container_label_com_docker_compose_project: 'p"q',
    });
    // What does not run uses nothing, but is.
    expect(samplesOf(families, 'container_cpu_usage_seconds_total', 'rests')).toEqual([]);
    const states = samplesOf(families, 'moored_container_state', 'rests').filter(({ value: one }) => one === 1);
    expect(states.map(({ labels }) => labels['state'])).toEqual(['created']);
  });

  it('say how health checks go', async () => {
    await expect
      .poll(
        async () => {
          const families = await scrape();
          const total = families.get('engine_daemon_health_checks_total')?.samples[0]?.value ?? 0;
          return total > 0 && samplesOf(families, 'moored_container_health', 'runs')[0]?.labels['status'];
        },
        { timeout: 15_000 },
      )
      .toBe('healthy');
  });
});
