/** Bandwidth limits by label, measured from the host by what really goes over. */
import { spawnSync } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestEngine, until } from '../../support/engine.ts';

const EGRESS = 'org.moored.network.rate.egress';
const INGRESS = 'org.moored.network.rate.ingress';
/** What goes over for one measurement: what was saved up is a small part of it. */
const SAMPLE_BYTES = 1_500_000;
/** The burst that an unworded limit has: a twentieth of a second. */
const SAVED_BYTES = 100_000;
const ATTEMPTS = 4;
const RATE_BYTES_PER_SECOND = 2_000_000;

/** Sends zeros without end at 1001; at 1002 takes the sample and says so. */
const SERVER =
  'while :; do nc -l -p 1001 -e cat /dev/zero; done & ' +
  `while :; do nc -l -p 1002 -e sh -c 'head -c ${String(SAMPLE_BYTES)} >/dev/null; echo all'; done & wait`;

let engine: TestEngine;

beforeAll(async () => {
  engine = await TestEngine.start();
  await engine.importBusybox();
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
});

describe('limits by label', () => {
  it('hold what a container sends and what it receives to the rate, after a restart too', async () => {
    const limits = ['--label', `${EGRESS}=16mbit`, '--label', `${INGRESS}=2mbps`];
    await engine.dockerOk('run', '-d', '--name', 'box', ...limits, 'busybox', 'sh', '-c', SERVER);
    for (const isAgain of [false, true]) {
      if (isAgain) await engine.dockerOk('restart', '-t', '0', 'box');
      const address = await addressOf('box', 'bridge');
      await Promise.all([expectRate(() => downloadRate(address)), expectRate(() => uploadRate(address))]);
    }
    await engine.dockerOk('rm', '-f', 'box');
  });

  it('are of each network that it joins, survive the daemon, and go with the container', async () => {
    await engine.dockerOk('network', 'create', 'more');
    // Links of containers before go a little after them.
    await until(() => tokenBuckets() === 0);
    const limits = ['--label', `${EGRESS}=8mbit`, '--label', `${EGRESS}.burst=32kb`, '--label', `${INGRESS}=4mbit`];
    await engine.dockerOk('run', '-d', '--name', 'box', ...limits, 'busybox', 'sleep', '600');
    await engine.dockerOk('network', 'connect', 'more', 'box');
    expect(tokenBuckets()).toBe(2);
    const pid = await engine.dockerOk('inspect', '-f', '{{.State.Pid}}', 'box');
    const inside = spawnSync('nsenter', ['-n', '-t', pid, 'tc', 'qdisc'], { encoding: 'utf8' }).stdout;
    for (const name of ['eth0', 'eth1']) {
      expect(inside).toMatch(new RegExp(`qdisc tbf 1: dev ${name} root .*rate 8Mbit burst 32Kb`));
    }
    await engine.end('SIGKILL');
    await engine.boot();
    expect(tokenBuckets()).toBe(2);
    await engine.dockerOk('network', 'disconnect', 'more', 'box');
    await until(() => tokenBuckets() === 1);
    await engine.dockerOk('rm', '-f', 'box');
    await until(() => tokenBuckets() === 0);
    await engine.dockerOk('network', 'rm', 'more');
  });

  it('are discarded in the host’s network, which a warning says', async () => {
    const body = {
      Image: 'busybox',
      Cmd: ['true'],
      Labels: { [EGRESS]: '1mbit' },
      HostConfig: { NetworkMode: 'host' },
    };
    const { json } = await engine.api('POST', '/containers/create?name=free', body);
    expect(json).toMatchObject({ Warnings: ['Bandwidth limits are discarded when using host network mode'] });
    await engine.dockerOk('rm', 'free');
  });

  it.each([
    [`${EGRESS}=10`, 'invalid rate "10" in label'],
    [`${INGRESS}=fast`, 'invalid rate "fast" in label'],
    [`${EGRESS}.burst=1kb`, 'label org.moored.network.rate.egress.burst needs org.moored.network.rate.egress'],
    ['org.moored.network.rate.out=1mbit', 'unknown label org.moored.network.rate.out'],
  ])('refuse %s when a container is made', async (label, text) => {
    const [name = '', value = ''] = label.split('=', 2);
    const made = await engine.api('POST', '/containers/create', {
      Image: 'busybox',
      Cmd: ['true'],
      Labels: { [name]: value },
    });
    expect([made.status, made.body]).toEqual([400, expect.stringContaining(text.replaceAll('"', '\\"'))]);
  });
});

/** Never more than the rate, and as much when the machine has time for it: others use it too. */
async function expectRate(measure: () => Promise<number>): Promise<void> {
  let best = 0;
  for (let attempt = 1; attempt <= ATTEMPTS && best < RATE_BYTES_PER_SECOND * 0.85; attempt += 1) {
    best = Math.max(best, await measure());
    expect(best).toBeLessThan(RATE_BYTES_PER_SECOND * 1.15);
  }
  expect(best).toBeGreaterThan(RATE_BYTES_PER_SECOND * 0.85);
}

describe('traffic', () => {
  it('is counted by interface, on each network by Docker’s names', async () => {
    await engine.dockerOk('network', 'create', 'more');
    await engine.dockerOk('run', '-d', '--name', 'box', 'busybox', 'sleep', '600');
    await engine.dockerOk('network', 'connect', 'more', 'box');
    expect(Object.keys(await countersOf('box'))).toEqual(['eth0', 'eth1']);
    const before = await countersOf('box');
    const ping = ['ping', '-c', '1', '-W', '1', '-s', '1000'];
    await engine.dockerOk('exec', 'box', ...ping, await gatewayOf('more'));
    const after = await countersOf('box');
    const grown = (name: string): number => (after[name]?.tx_bytes ?? 0) - (before[name]?.tx_bytes ?? 0);
    expect(grown('eth1')).toBeGreaterThanOrEqual(1000);
    expect(grown('eth0')).toBeLessThan(1000);
    const { body } = await engine.api('GET', '/metrics');
    for (const name of ['eth0', 'eth1']) {
      expect(body).toMatch(new RegExp(`^container_network_transmit_bytes_total\\{.*interface="${name}".*\\} \\d`, 'm'));
    }
    await engine.dockerOk('network', 'disconnect', 'bridge', 'box');
    expect(Object.keys(await countersOf('box'))).toEqual(['eth1']);
    await engine.dockerOk('rm', '-f', 'box');
    await engine.dockerOk('network', 'rm', 'more');
  });
});

async function countersOf(name: string): Promise<Readonly<Record<string, { readonly tx_bytes: number }>>> {
  const { json } = await engine.api('GET', `/containers/${name}/stats?stream=false&one-shot=true`);
  return (json as { readonly networks: Readonly<Record<string, { readonly tx_bytes: number }>> }).networks;
}

function gatewayOf(network: string): Promise<string> {
  return engine.dockerOk('network', 'inspect', '-f', '{{(index .IPAM.Config 0).Gateway}}', network);
}

function addressOf(name: string, network: string): Promise<string> {
  return engine.dockerOk('inspect', '-f', `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`, name);
}

/** Token buckets on the links of the engine's host: one for each limited end. */
function tokenBuckets(): number {
  const { stdout } = spawnSync('tc', ['qdisc'], { encoding: 'utf8' });
  return stdout.split('\n').filter((line) => line.startsWith('qdisc tbf')).length;
}

/** A connection, and when it was asked for: what is read late came slower than that, never faster. */
interface Connected extends Disposable {
  readonly stream: Socket;
  readonly since: number;
}

/** Bytes a second that come, but for what was saved up. */
async function downloadRate(address: string): Promise<number> {
  using socket = await connected(address, 1001);
  let bytes = 0;
  return await new Promise((resolve) => {
    socket.stream.on('data', ({ length }: Buffer) => {
      bytes += length;
      if (bytes > SAMPLE_BYTES) resolve(((bytes - SAVED_BYTES) * 1000) / (performance.now() - socket.since));
    });
  });
}

/** Bytes a second that get there. */
async function uploadRate(address: string): Promise<number> {
  using socket = await connected(address, 1002);
  const all = new Promise((resolve) => socket.stream.once('data', resolve));
  socket.stream.write(Buffer.alloc(SAMPLE_BYTES));
  await all;
  return (SAMPLE_BYTES * 1000) / (performance.now() - socket.since);
}

/** To what may have started only just now. */
async function connected(address: string, port: number): Promise<Connected> {
  return await until(async () => {
    const since = performance.now();
    const stream = await new Promise<Socket | null>((resolve) => {
      const attempt = connect(port, address, () => resolve(attempt));
      attempt.once('error', () => resolve(null));
    });
    return stream === null ? null : { stream, since, [Symbol.dispose]: () => void stream.destroy() };
  });
}
