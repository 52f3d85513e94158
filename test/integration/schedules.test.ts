import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { obstacleToContainers } from '../support/bundle.ts';
import { TestEngine, until } from '../support/engine.ts';

const obstacle = obstacleToContainers();

describe.skipIf(obstacle !== null)(`schedules${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  let engine: TestEngine;

  beforeAll(async () => {
    engine = await TestEngine.start();
    await engine.importBusybox();
  });

  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
  });

  const logs = async (name: string): Promise<readonly string[]> =>
    (await engine.dockerOk('logs', name)).split('\n').filter((line) => line !== '');

  it('start a container every second, over a restart of the engine, until it is removed', async () => {
    const label = 'moored.schedule=* * * * * *';
    await engine.dockerOk('create', '--name', 'tick', '--label', label, 'busybox', 'echo', 'tick');
    expect(JSON.parse(await engine.dockerOk('inspect', '-f', '{{json .Config.Labels}}', 'tick'))).toEqual({
      'moored.schedule': '* * * * * *',
    });
    await until(async () => (await logs('tick')).length >= 2);
    await engine.end('SIGKILL');
    await engine.boot();
    const before = (await logs('tick')).length;
    await until(async () => (await logs('tick')).length > before);
    expect(engine.log()).toMatch(/msg="schedule container-tick: done".*schedule=container-tick/);
    await engine.dockerOk('rm', '-f', 'tick');
  });

  it('leave a container alone whose label is none, and say so', async () => {
    await engine.dockerOk('create', '--name', 'odd', '--label', 'moored.schedule=soon', 'busybox', 'true');
    await until(() => engine.log().includes('schedule container-odd never runs'));
    expect(engine.log()).toContain('invalid schedule');
    expect(await engine.dockerOk('inspect', '-f', '{{.State.Status}}', 'odd')).toBe('created');
    await engine.dockerOk('rm', 'odd');
  });
});

describe.skipIf(obstacle !== null)(`a prune by the clock${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  it('takes what nobody uses, but what a rule keeps', async () => {
    await using engine = await TestEngine.start(
      '--prune-schedule',
      '* * * * * *',
      '--prune-target',
      'containers',
      '--prune-keep',
      'keep-*',
    );
    await engine.importBusybox();
    await engine.dockerOk('create', '--name', 'keep-me', 'busybox', 'true');
    await engine.dockerOk('create', '--name', 'labelled', '--label', 'moored.keep', 'busybox', 'true');
    await engine.dockerOk('create', '--name', 'gone', 'busybox', 'true');
    const names = async (): Promise<readonly string[]> =>
      (await engine.dockerOk('ps', '-a', '--format', '{{.Names}}')).split('\n').sort();
    await until(async () => !(await names()).includes('gone'));
    expect(await names()).toEqual(['keep-me', 'labelled']);
    await expect.poll(() => engine.log()).toContain('removed container gone');
  });
});
