/** Building over a bus, with builds in memory. */
import { mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createDocuments } from '../../../../src/api/documents.ts';
import { SystemClock } from '../../../../src/base/clock.ts';
import { silentLogger } from '../../../../src/base/logger.ts';
import { variant } from '../../../../src/dbus/bus/exported.ts';
import { JobRegistry } from '../../../../src/dbus/jobs/job-registry.ts';
import { imagePath } from '../../../../src/dbus/names.ts';
import { buildMethods, detailsOfBuild } from '../../../../src/dbus/objects/engine/build.ts';
import { BuildProgress } from '../../../../src/dbus/objects/engine/build-progress.ts';
import type { ManagerParts } from '../../../../src/dbus/objects/engine/parts.ts';
import { createDescriptorCalls } from '../../../../src/engine/kernel/linux/descriptors.ts';
import { BUILT_ID } from '../../../support/fake-builds.ts';

import { FakeEngine } from '../../../support/fake-engine.ts';
import { until } from '../../../support/engine.ts';
import { callOf, RecordingTree } from '../../../support/recording-tree.ts';

let clock: SystemClock;
let engine: FakeEngine;
let tree: RecordingTree;
let parts: ManagerParts;
let scratch: string;

beforeEach(() => {
  clock = new SystemClock();
  engine = new FakeEngine(clock);
  tree = new RecordingTree();
  scratch = mkdtempSync(join(tmpdir(), 'bus-build-'));
  parts = {
    engine,
    tree,
    clock,
    logger: silentLogger,
    descriptors: createDescriptorCalls(),
    jobs: new JobRegistry({ tree, clock, logger: silentLogger }),
    words: createDocuments({ engine, clock, build: { version: '1', gitCommit: '', buildTime: '' } }),
  } as unknown as ManagerParts;
});
afterEach(() => {
  rmSync(scratch, { recursive: true });
});

async function call(member: string, args: readonly unknown[], uid = 0): Promise<string> {
  const [path] = await buildMethods(parts)[member]!({ ...callOf({ uid }), member }, ...(args as never[]));
  return String(path);
}

async function ended(path: string): Promise<Record<string, unknown>> {
  await until(() => tree.properties(path)['State'] === 'finished');
  return tree.properties(path);
}

const OPTIONS = {
  Dockerfile: variant('s', 'sub/Dockerfile'),
  Tags: variant('as', ['app:1', 'app']),
  Args: variant('a{ss}', { A: '1' }),
  Labels: variant('a{ss}', { l: 'x' }),
  Target: variant('s', 'web'),
  NoCache: variant('b', true),
  Pull: variant('b', true),
  CacheFrom: variant('as', ['old']),
  Platform: variant('s', 'linux/arm64'),
  Auth: variant('a{sv}', { 'registry.test': variant('a{ss}', { username: 'u', password: 'p' }) }),
  Memory: variant('t', 1n << 30n),
  MemorySwap: variant('x', -1n),
  CPUShares: variant('x', 5n),
  CPUQuota: variant('x', 50_000n),
  CPUPeriod: variant('x', 100_000n),
  CPUSet: variant('s', '0-1'),
  ShmSize: variant('t', 65_536n),
  Ulimits: variant('a(sxx)', [['nofile', 10n, 20n]]),
  CgroupParent: variant('s', 'b.slice'),
  Network: variant('s', 'none'),
  ExtraHosts: variant('as', ['a:1.2.3.4']),
  Entitlements: variant('as', ['security.insecure']),
  KeepContainers: variant('b', true),
  Secrets: variant('a{ss}', { token: 'geheim' }),
  EngineSecrets: variant('as', ['own']),
  SSH: variant('a{ss}', { default: '/run/agent' }),
};

describe('BuildImage', () => {
  test('reads its context from a descriptor, in a job with steps and a log', async () => {
    const file = join(scratch, 'context.tar');
    writeFileSync(file, 'a tar');
    const path = await call('BuildImage', [openSync(file, 'r'), { Tags: variant('as', ['app']) }]);
    expect(await ended(path)).toMatchObject({
      Type: 'build',
      Result: 'done',
      Details: { Image: variant('o', imagePath(BUILT_ID)), Id: variant('s', BUILT_ID) },
    });
    expect(engine.build.contexts).toEqual([5]);
    expect(engine.build.requests[0]).toMatchObject({ tags: ['app'], forceRemove: true, context: { kind: 'tar' } });
    const items = tree.sent('ItemProgress').map(({ args }) => args);
    expect(items.at(-1)).toEqual(['1/2 FROM busybox', 'done', 1, 1]);
    const log = tree.sent('Log');
    expect(log.map(({ args }) => String(args[1]))).toEqual([
      'Step 1/2 : FROM busybox',
      'Successfully built bbbbbbbbbbbb',
    ]);
    expect(log.every(({ destination }) => destination === ':1.1')).toBe(true);
  });

  test('says why a build failed', async () => {
    const file = join(scratch, 'context.tar');
    writeFileSync(file, '');
    const path = await call('BuildImage', [openSync(file, 'r'), { Dockerfile: variant('s', 'fails') }]);
    expect(await ended(path)).toMatchObject({
      Result: 'failed',
      ErrorMessage: "The command '/bin/sh -c exit 3' returned a non-zero code: 3",
    });
  });

  test('ends when its job is canceled', async () => {
    const path = await call('BuildImageFromPath', [scratch, { Dockerfile: variant('s', 'hangs') }]);
    await until(() => engine.build.names.length === 1);
    await tree.call(path, 'Cancel', [], callOf());
    expect(await ended(path)).toMatchObject({ Result: 'canceled' });
    expect(engine.build.names).toEqual([]);
  });

  test('closes what it was handed when the options are wrong', async () => {
    const { fd, stream } = parts.descriptors.openSocketPair();
    await expect(call('BuildImage', [fd, { Nope: variant('b', true) }])).rejects.toThrow('unknown key "Nope"');
    for await (const chunk of stream) expect(chunk).toBe('nothing');
  });
});

describe('BuildImageFromPath', () => {
  test('says whose the directory must be', async () => {
    await ended(await call('BuildImageFromPath', [scratch, {}], 1000));
    await ended(await call('BuildImageFromPath', [scratch, {}]));
    expect(engine.build.requests.map(({ context }) => context)).toEqual([
      { kind: 'directory', path: scratch, ownerUid: 1000 },
      { kind: 'directory', path: scratch, ownerUid: null },
    ]);
    await expect(call('BuildImageFromPath', ['context', {}])).rejects.toThrow('"context" is not an absolute path');
  });

  test('takes all options of a build', async () => {
    await ended(await call('BuildImageFromPath', [scratch, OPTIONS]));
    const request = engine.build.requests[0]!;
    expect(request).toMatchObject({
      dockerfile: 'sub/Dockerfile',
      tags: ['app:1', 'app'],
      args: new Map([['A', '1']]),
      labels: new Map([['l', 'x']]),
      target: 'web',
      noCache: true,
      pull: true,
      cacheFrom: ['old'],
      platform: { os: 'linux', architecture: 'arm64' },
      remove: false,
      forceRemove: false,
      limits: {
        resources: {
          memoryBytes: 1 << 30,
          memorySwapBytes: -1,
          cpuShares: 5,
          cpuQuotaUs: 50_000,
          cpuPeriodUs: 100_000,
          cpusetCpus: '0-1',
        },
        ulimits: [{ name: 'nofile', soft: 10, hard: 20 }],
        shmSizeBytes: 65_536,
        cgroupParent: 'b.slice',
        network: { kind: 'none' },
        extraHosts: ['a:1.2.3.4'],
        securityOptions: ['security.insecure'],
      },
      secrets: new Map<string, Buffer | null>([
        ['own', null],
        ['token', Buffer.from('geheim')],
      ]),
      sshAgents: new Map([['default', '/run/agent']]),
    });
    expect(request.authFor('registry.test/a')).toEqual({ username: 'u', password: 'p' });
    expect(request.authFor('busybox')).toBeNull();
  });

  test.each([
    [{ SSH: variant('a{ss}', { a: 'run/s' }) }, 'SSH: a path is not absolute'],
    [{ Auth: variant('a{sv}', { 'https://a/v1/': variant('a{ss}', {}) }) }, `"https://a/v1/" is no registry's name`],
    [{ Auth: variant('a{sv}', { a: variant('a{ss}', { pin: 'geheim' }) }) }, 'unknown key "pin" in Auth'],
    [{ Entitlements: variant('as', ['all']) }, 'security options are not supported on linux'],
    [{ Memory: variant('t', 2n ** 63n) }, 'key "Memory": 9223372036854775808 is out of range'],
    [{ Platform: variant('s', 'a/b/c/d') }, 'cannot parse platform specifier'],
    [{ Tags: variant('s', 'app') }, `key "Tags" must be of type 'as', not 's'`],
  ])('refuses %o', async (options, message) => {
    await expect(call('BuildImageFromPath', [scratch, options])).rejects.toThrow(message);
    expect(engine.build.requests).toEqual([]);
  });

  test('shows polkit what is built, and whether it is to be more than a guest', () => {
    expect(detailsOfBuild(parts, ['/src', { Tags: variant('as', ['app']) }])).toEqual({
      image: 'app',
      directory: '/src',
      privileged: 'false',
    });
    expect(detailsOfBuild(parts, [7, { Network: variant('s', 'host') }])).toEqual({ image: '', privileged: 'true' });
    expect(detailsOfBuild(parts, ['/src', { Entitlements: variant('as', ['security.insecure']) }])).toMatchObject({
      privileged: 'true',
    });
    const agents = { SSH: variant('a{ss}', { default: '/run/docker.sock' }) };
    expect(detailsOfBuild(parts, ['/src', agents])).toMatchObject({ privileged: 'true' });
    expect(detailsOfBuild(parts, ['/src', { Nope: variant('b', true) }])).toEqual({});
  });
});

test('progress of a build: whole lines without colours, layers of pulls, steps', () => {
  const lines: string[] = [];
  const items: unknown[] = [];
  const reports: unknown[] = [];
  const progress = new BuildProgress({
    log: (_priority, line) => void lines.push(line),
    item: (item) => void items.push(item),
    report: (report) => void reports.push(report),
  });
  progress.take({ kind: 'step', number: 1, total: 2, text: 'FROM a' });
  progress.take({ kind: 'progress', progress: { status: 'Downloading', id: 'aa', current: 5, total: 10 } });
  progress.take({ kind: 'step', number: 2, total: 2, text: 'RUN b' });
  progress.take({ kind: 'stream', text: '\u001b[91mwar' });
  progress.take({ kind: 'stream', text: 'ning\u001b[0m\nend' });
  progress.take({ kind: 'image', id: BUILT_ID });
  progress.end();
  expect(lines).toEqual(['warning', 'end']);
  expect(items).toEqual([
    { item: '1/2 FROM a', phase: 'building', done: 0, total: 1 },
    { item: 'aa', phase: 'downloading', done: 5, total: 10 },
    { item: '1/2 FROM a', phase: 'done', done: 1, total: 1 },
    { item: '2/2 RUN b', phase: 'building', done: 0, total: 1 },
    { item: '2/2 RUN b', phase: 'done', done: 1, total: 1 },
  ]);
  expect(reports).toEqual([
    { phase: 'building', done: 0, total: 2 },
    { phase: 'building', done: 1, total: 2 },
    { phase: 'building', done: 1, total: 2 },
    { phase: 'building', done: 2, total: 2 },
  ]);
});
