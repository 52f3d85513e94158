import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine } from '../support/engine.ts';

/*
 * Limits that change while a container runs: what its control group says then, what inspect says, and what is refused.
 */
let engine: TestEngine;
beforeAll(async () => {
  engine = await TestEngine.start();
  await engine.importBusybox();
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
});

const MIB = 1024 * 1024;
const isUnified = existsSync('/sys/fs/cgroup/cgroup.controllers');

/** What the kernel holds a running container to, in bytes, processes and microseconds; null: no bound. */
function limitsOf(id: string): Readonly<Record<string, number | string | null>> {
  const group = (controller: string): string => `/sys/fs/cgroup/${isUnified ? '' : `${controller}/`}docker/${id}`;
  const read = (controller: string, file: string): string =>
    readFileSync(`${group(controller)}/${file}`, 'utf8').trim();
  const bounded = (text: string): number | null => (text === 'max' || Number(text) > 2 ** 60 ? null : Number(text));
  if (isUnified) {
    const [quota = 'max', period = ''] = read('', 'cpu.max').split(' ');
    const memory = bounded(read('', 'memory.max'));
    const swap = bounded(read('', 'memory.swap.max'));
    return {
      memory,
      memorySwap: swap === null || memory === null ? null : memory + swap,
      pids: bounded(read('', 'pids.max')),
      quota: bounded(quota),
      period: Number(period),
      cpus: read('', 'cpuset.cpus'),
    };
  }
  return {
    memory: bounded(read('memory', 'memory.limit_in_bytes')),
    memorySwap: bounded(read('memory', 'memory.memsw.limit_in_bytes')),
    pids: bounded(read('pids', 'pids.max')),
    quota: bounded(read('cpu', 'cpu.cfs_quota_us')),
    period: Number(read('cpu', 'cpu.cfs_period_us')),
    cpus: read('cpuset', 'cpuset.cpus'),
  };
}

const refusal = async (...args: readonly string[]): Promise<string> =>
  (await engine.docker(['update', ...args])).stderr;

describe.each(['crun', 'runc'])('a running container of %s', (runtime) => {
  it('has its new limits at once, after a restart too, and shows them', async () => {
    const id = await engine.dockerOk(
      ...[
        'run',
        '-d',
        '--name',
        'upd',
        '--runtime',
        runtime,
        '--network',
        'none',
        '-m',
        '50m',
        'busybox',
        'sleep',
        '600',
      ],
    );
    const update = (...args: readonly string[]): Promise<string> => engine.dockerOk('update', ...args, 'upd');
    await update('-m', '40m', '--memory-swap', '60m');
    expect(limitsOf(id)).toMatchObject({ memory: 40 * MIB, memorySwap: 60 * MIB });
    // Above what swap allowed, in one step.
    await update('-m', '200m', '--memory-swap', '300m');
    expect(limitsOf(id)).toMatchObject({ memory: 200 * MIB, memorySwap: 300 * MIB });
    await update('-m', '100m', '--memory-swap', '-1');
    expect(limitsOf(id)).toMatchObject({ memory: 100 * MIB, memorySwap: null });
    await update('--pids-limit', '20', '--cpu-quota', '20000', '--cpuset-cpus', '0', '--restart', 'on-failure:3');
    expect(limitsOf(id)).toMatchObject({ pids: 20, quota: 20_000, period: 100_000, cpus: '0', memory: 100 * MIB });
    await update('--cpu-period', '50000');
    expect(limitsOf(id)).toMatchObject({ quota: 20_000, period: 50_000 });
    await update('--pids-limit', '-1');
    expect(limitsOf(id)).toMatchObject({ pids: null });

    const shown = await engine.dockerOk(
      ...[
        'inspect',
        '-f',
        '{{json .HostConfig.RestartPolicy}} {{.HostConfig.Memory}} {{.HostConfig.MemorySwap}}',
        'upd',
      ],
    );
    expect(shown).toBe(`{"Name":"on-failure","MaximumRetryCount":3} ${String(100 * MIB)} -1`);
    const before = limitsOf(id);
    await engine.dockerOk('restart', '-t', '0', 'upd');
    expect(limitsOf(id)).toEqual(before);
    expect(await refusal('--cpus', '1', 'upd')).toContain(
      `Cannot update container ${id}: Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set`,
    );
    await engine.dockerOk('rm', '-f', 'upd');
  });
});

describe('an update', () => {
  it('is told, outlives the engine, and holds from the next start on', async () => {
    const id = await engine.dockerOk('create', '--name', 'later', '--network', 'none', 'busybox', 'sleep', '600');
    const since = String(Date.now() / 1000);
    await engine.dockerOk('update', '--cpus', '0.5', 'later');
    const told = await engine.dockerOk(
      ...[
        'events',
        '--since',
        since,
        '--until',
        String(Date.now() / 1000),
        '--format',
        '{{.Action}} {{.Actor.Attributes.name}}',
      ],
    );
    expect(told).toBe('update later');
    await engine.end('SIGKILL');
    await engine.boot();
    await engine.dockerOk('start', 'later');
    expect(limitsOf(id)).toMatchObject({ quota: 50_000 });
    await engine.dockerOk('rm', '-f', 'later');
  });

  it('that does not go together is refused, and nothing changes', async () => {
    const id = await engine.dockerOk(
      'run',
      '-d',
      '--rm',
      '--name',
      'once',
      '--network',
      'none',
      'busybox',
      'sleep',
      '600',
    );
    const before = limitsOf(id);
    const cannot = `Cannot update container ${id}: `;
    expect(await refusal('--restart', 'always', 'once')).toContain(
      `${cannot}Restart policy cannot be updated because AutoRemove is enabled for the container`,
    );
    expect(await refusal('-m', '50m', 'once')).toContain(
      `${cannot}Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time`,
    );
    expect(await refusal('-m', '1m', 'once')).toContain('Minimum memory limit allowed is 6MB');
    expect(await refusal('--restart', 'sometimes', 'once')).toContain(
      "invalid restart policy: unknown policy 'sometimes'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
    );
    expect(await refusal('--cpus', '1', 'nosuch')).toContain('No such container: nosuch');
    const answer = await engine.api('POST', '/containers/once/update', { Memory: 50 * MIB });
    expect(answer.status).toBe(409);
    expect(limitsOf(id)).toEqual(before);
    expect(await engine.api('POST', '/containers/once/update', {})).toMatchObject({
      status: 200,
      json: { Warnings: null },
    });
    await engine.dockerOk('rm', '-f', 'once');
  });
});
