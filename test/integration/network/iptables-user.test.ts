/** The administrator's own chain, and what is left of the engine's when somebody flushes. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { until } from '../../support/engine.ts';
import { LAB_ADDRESS } from '../../support/network-lab.ts';
import { FirewallLab, SILENT } from './firewall-packets.ts';

const { client, host } = LAB_ADDRESS;
let room: FirewallLab;

beforeAll(async () => {
  room = await FirewallLab.open('--firewall-backend', 'iptables');
  await room.container('web', await room.network(1), '-p', '8080:80');
});
afterAll(async () => {
  await (room as FirewallLab | undefined)?.[Symbol.asyncDispose]();
});

const forward = async (): Promise<readonly string[]> =>
  (await room.lab.ok('host', 'iptables', '-S', 'FORWARD')).trim().split('\n').slice(1);

it('honours a DROP in DOCKER-USER before and after flushes and restarts', async () => {
  expect(await room.ask('client', host.ipv4, 8080)).toBe(client.ipv4);
  const drop = ['DOCKER-USER', '-s', `${client.ipv4}/32`, '-j', 'DROP'];
  await room.lab.ok('host', 'iptables', '-A', ...drop);
  expect(await room.ask('client', host.ipv4, 8080, SILENT)).toBe('timeout');
  const jumps = ['-A FORWARD -j DOCKER-USER', '-A FORWARD -j DOCKER-FORWARD'];
  // Nobody asks the engine for anything: it hears of it.
  await room.lab.ok('host', 'iptables', '-F', 'FORWARD');
  await until(async () => (await forward()).join() === jumps.join());
  await room.lab.ok('host', 'iptables', '-t', 'nat', '-F');
  await until(async () =>
    (await room.lab.ok('host', 'iptables', '-t', 'nat', '-S', 'DOCKER')).includes('--dport 8080'),
  );
  expect(await room.ask('client', host.ipv4, 8080, SILENT)).toBe('timeout');
  await room.engine.end('SIGKILL');
  await room.engine.boot();
  expect(await room.ask('client', host.ipv4, 8080, SILENT)).toBe('timeout');
  expect((await room.lab.ok('host', 'iptables', '-S', 'DOCKER-USER')).trim().split('\n')).toEqual([
    '-N DOCKER-USER',
    `-A ${drop.join(' ')}`,
  ]);
  await room.lab.ok('host', 'iptables', '-D', ...drop);
  expect(await room.ask('client', host.ipv4, 8080)).toBe(client.ipv4);
});

it('names the backend in docker info', async () => {
  expect((await room.engine.api('GET', '/v1.49/info')).json).toMatchObject({ FirewallBackend: { Driver: 'iptables' } });
  expect((await room.engine.api('GET', '/v1.48/info')).json).not.toHaveProperty('FirewallBackend');
});
