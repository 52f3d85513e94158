/** Hosts as the guide for POWER has them: the engine touches neither packet filter nor forwarding, and says what that means. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine, until } from '../../support/engine.ts';
import { LAB_ADDRESS, NetworkLab, type LabHost } from '../../support/network-lab.ts';

const FORWARDING = 'net.ipv4.ip_forward';

const made = new AsyncDisposableStack();
let lab: NetworkLab;
let engine: TestEngine;
let rulesBefore: string;

beforeAll(async () => {
  lab = made.use(await NetworkLab.open());
  await lab.ok('host', 'sysctl', '-qw', `${FORWARDING}=0`);
  rulesBefore = await lab.ok('host', 'nft', 'list', 'ruleset');
  engine = made.use(
    await TestEngine.startIn(lab.netns('host'), '--iptables=false', '--ip6tables=false', '--ip-forward=false'),
  );
  await engine.importBusybox();
});
afterAll(async () => {
  await made.disposeAsync();
});

const serve = (name: string, port: number, ...args: readonly string[]): Promise<string> => {
  const script = `while :; do nc -l -p ${String(port)} -e echo ${name}; done`;
  return engine.dockerOk('run', '-d', '--name', name, ...args, 'busybox', 'sh', '-c', script);
};

/** A port answers, as soon as somebody listens there. */
async function expectAnswer(from: LabHost, address: string, port: number, text: string): Promise<void> {
  await until(async () => (await lab.ask(from, address, port)).text === text);
}

describe('with iptables off and no forwarding', () => {
  it('info says what is missing, and a container on a bridge is warned of', async () => {
    expect((await engine.docker(['info'])).stderr).toContain('WARNING: IPv4 forwarding is disabled');
    const created = await engine.docker(['create', '--name', 'warned', 'busybox', 'true']);
    expect(created.stderr).toContain('WARNING: IPv4 forwarding is disabled. Networking will not work.');
    const onHost = await engine.docker(['create', '--name', 'quiet', '--net', 'host', 'busybox', 'true']);
    expect(onHost.stderr).toBe('');
    await engine.dockerOk('rm', 'warned', 'quiet');
  });

  it('a container in the host’s network serves and asks as the host does', async () => {
    await serve('served', 8080, '--net', 'host');
    await lab.serve('neighbour', 9090);
    await expectAnswer('client', LAB_ADDRESS.host.ipv4, 8080, 'served');
    const asked = await engine.dockerOk('exec', 'served', 'nc', '-w', '2', LAB_ADDRESS.neighbour.ipv4, '9090');
    expect(asked).toBe(LAB_ADDRESS.host.ipv4);
    await engine.dockerOk('rm', '-f', 'served');
  });

  it('containers on bridges reach their host and one another, and the world does not reach them', async () => {
    await engine.dockerOk('network', 'create', 'plain');
    for (const network of ['bridge', 'plain']) {
      await serve('one', 80, '--net', network);
      await serve('two', 80, '--net', network);
      const format = `{{with index .NetworkSettings.Networks "${network}"}}{{.IPAddress}} {{.Gateway}}{{end}}`;
      const [address = '', gateway = ''] = (await engine.dockerOk('inspect', '-f', format, 'one')).split(' ');
      await expectAnswer('host', address, 80, 'one');
      await until(
        async () => (await engine.docker(['exec', 'two', 'nc', '-w', '2', address, '80'])).stdout === 'one\n',
      );
      expect(await engine.dockerOk('exec', 'two', 'ping', '-c', '1', '-W', '2', gateway)).toContain(' 0% packet loss');
      await lab.on('router', 'ip', 'route', 'replace', `${address}/32`, 'via', LAB_ADDRESS.host.ipv4);
      expect((await lab.ask('client', address, 80, { limitMs: 700 })).error).toMatch(/timeout|UNREACH/);
      await engine.dockerOk('rm', '-f', 'one', 'two');
    }
    await engine.dockerOk('network', 'rm', 'plain');
  });

  it('nothing of the host’s is touched', async () => {
    expect(await lab.ok('host', 'nft', 'list', 'ruleset')).toBe(rulesBefore);
    expect(await lab.ok('host', 'sysctl', '-n', FORWARDING)).toBe('0\n');
  });
});
