import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine } from '../support/engine.ts';
import { LAB_ADDRESS, NetworkLab } from '../support/network-lab.ts';

const { client, host, neighbour } = LAB_ADDRESS;

describe('an engine on a host among others', () => {
  let lab: NetworkLab;
  let engine: TestEngine;

  beforeAll(async () => {
    lab = await NetworkLab.open();
    engine = await TestEngine.startIn(lab.netns('host'));
    await engine.importBusybox();
    await lab.serve('client', 7000);
  });

  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
    await lab[Symbol.asyncDispose]();
  });

  it('reaches the world as itself', async () => {
    const command = ['run', '--rm', 'busybox', 'nc', client.ipv4, '7000'];
    expect((await engine.dockerOk(...command)).trim()).toBe(host.ipv4);
  });

  it('is reached through what it publishes, by who they are', async () => {
    await engine.dockerOk('run', '-d', '--name', 'web', '-p', '8080:80', 'busybox', 'sleep', '1000');
    await lab.serve(
      (await engine.dockerOk('inspect', '-f', '{{.NetworkSettings.SandboxKey}}', 'web')) as `/${string}`,
      80,
    );
    expect(await lab.ask('client', host.ipv4, 8080)).toEqual({ text: client.ipv4, error: null });
    expect(await lab.ask('neighbour', host.ipv4, 8080)).toEqual({ text: neighbour.ipv4, error: null });
    expect(await lab.ask('client', host.ipv4, 8081)).toEqual({ text: null, error: 'ECONNREFUSED' });
  });
});
