/** Names of containers on the host, without a resolver: the name server itself. With systemd-resolved: test/system. */
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine, until } from '../../support/engine.ts';
import { LAB_ADDRESS, NetworkLab } from '../../support/network-lab.ts';

const why = spawnSync('dig', ['-v']).error === undefined ? null : 'dig is not installed';
const NAME_SERVER = '169.254.53.1';

const made = new AsyncDisposableStack();
let lab: NetworkLab;
let engine: TestEngine;

describe.skipIf(why !== null)(`names on the host${why === null ? '' : ` (skipped: ${why})`}`, () => {
  beforeAll(async () => {
    lab = made.use(await NetworkLab.open());
    engine = made.use(await TestEngine.startIn(lab.netns('host'), '--host-names', 'docker'));
    await engine.importBusybox();
  });
  afterAll(async () => {
    await made.disposeAsync();
  });

  const onHost = async (...words: readonly string[]): Promise<string> => (await lab.on('host', ...words)).stdout.trim();
  const dig = (...words: readonly string[]): Promise<string> =>
    onHost('dig', '+short', '+time=1', '+tries=1', `@${NAME_SERVER}`, ...words);
  const addressOn = (name: string, network: string): Promise<string> =>
    engine.dockerOk('inspect', '-f', `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`, name);
  const links = (): Promise<string> => onHost('ip', '-br', 'link', 'show', 'type', 'veth');

  it('follow what runs, by UDP and TCP', async () => {
    expect(await dig('web.docker')).toBe('');
    await engine.dockerOk('network', 'create', 'shop');
    await engine.dockerOk(
      'run',
      '-d',
      '--name',
      'web',
      '--net',
      'shop',
      '--network-alias',
      'www',
      'busybox',
      'sleep',
      '600',
    );
    await engine.dockerOk('run', '-d', '--name', 'plain', 'busybox', 'sleep', '600');
    const address = await addressOn('web', 'shop');
    for (const name of ['web.docker', 'WEB.docker', 'www.docker', 'web.shop.docker']) {
      expect([name, await dig(name)]).toEqual([name, address]);
    }
    expect(await dig('+tcp', 'web.docker')).toBe(address);
    expect(await dig('plain.docker')).toBe(await addressOn('plain', 'bridge'));
    expect(await dig('web.bridge.docker')).toBe('');
    await engine.dockerOk('rename', 'web', 'front');
    expect([await dig('web.docker'), await dig('front.docker')]).toEqual(['', address]);
    await engine.dockerOk('rm', '-f', 'front');
    expect(await dig('front.docker')).toBe('');
  });

  it('are not for containers, nor for other hosts', async () => {
    const asked = await engine.docker(['exec', 'plain', 'timeout', '1', 'nslookup', 'plain.docker', NAME_SERVER]);
    expect(asked.stdout).not.toContain(await addressOn('plain', 'bridge'));
    await lab.ok('router', 'ip', 'route', 'add', `${NAME_SERVER}/32`, 'via', LAB_ADDRESS.host.ipv4);
    const far = await lab.on('router', 'dig', '+short', '+time=1', '+tries=1', `@${NAME_SERVER}`, 'plain.docker');
    expect(far.stdout).not.toContain(await addressOn('plain', 'bridge'));
  });

  it('are there again after a kill, and gone with the engine', async () => {
    const before = await links();
    expect(before).toMatch(/^mnames[0-9a-f]{8}p@/m);
    await engine.end('SIGKILL');
    await engine.boot();
    expect(await dig('plain.docker')).toBe(await addressOn('plain', 'bridge'));
    expect((await links()).match(/^mnames/gm)).toHaveLength(2);
    await engine.dockerOk('rm', '-f', 'plain');
    await engine.dockerOk('network', 'rm', 'shop');
    await engine.end();
    await until(async () => !(await links()).includes('mnames'));
    await engine.boot();
  });
});
