/** Name servers of containers on a host with systemd: what the service manager keeps, and whom systemd-resolved asks. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startResolved } from '../support/resolved-tree.ts';
import { SystemRig } from '../support/system-rig.ts';

const obstacle = SystemRig.obstacle();
const NODE = new URL('../../bin/node', import.meta.url).pathname;

/** Answers every question for an address with the one it is started with. */
const SERVER = `
const [listen, address] = process.argv.slice(2);
const socket = require('node:dgram').createSocket('udp4');
socket.on('message', (question, from) => {
  let end = 12;
  while (question[end] !== 0) end += 1 + question[end];
  const head = Buffer.from(question.subarray(0, end + 5));
  const isAddress = question.readUInt16BE(end + 1) === 1;
  head.writeUInt16BE(0x8180, 2);
  head.writeUInt16BE(isAddress ? 1 : 0, 6);
  head.writeUInt32BE(0, 8);
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...address.split('.').map(Number)]);
  socket.send(isAddress ? Buffer.concat([head, record]) : head, from.port, from.address);
});
socket.bind(53, listen);`;

describe.skipIf(obstacle !== null)(`name servers${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  let rig: SystemRig;

  beforeAll(async () => {
    rig = await SystemRig.boot({
      installed: true,
      files: { '/etc/docker/daemon.json': '{"live-restore": true}', '/srv/server.cjs': SERVER },
    });
    await rig.ok('systemctl start docker.service');
    await rig.importBusybox();
    await rig.ok('docker network create shop');
    await rig.ok('docker run -d --name web --net shop busybox sleep 600');
    await rig.ok('docker run -d --name db --net shop busybox sleep 600');
  });
  afterAll(async () => {
    await rig[Symbol.asyncDispose]();
  });

  const address = (): Promise<string> => rig.ok(`docker inspect -f '{{.NetworkSettings.Networks.shop.IPAddress}}' web`);
  const keptCount = async (): Promise<number> => Number(await rig.ok('systemctl show -P NFileDescriptorStore docker'));

  it('answer what was asked while the engine was restarted or killed', async () => {
    expect(await keptCount()).toBe(2);
    const pid = await rig.ok("docker inspect -f '{{.State.Pid}}' db");
    const expected = await address();
    // Killed while it is stopped: else it may have read the question, and the one who asks does so once.
    const ends = ['systemctl kill -s CONT docker; systemctl restart docker', 'systemctl kill -s KILL docker'];
    for (const end of ends) {
      // Asked in the midst of it: one question, and none again.
      const asked = `nsenter -t ${pid} -n dig +short +tries=1 +time=25 @127.0.0.11 web > /tmp/answer & asker=$!`;
      await rig.ok(`systemctl kill -s STOP docker; ${asked}; sleep 0.2; (${end}); wait $asker`);
      expect(await rig.ok('cat /tmp/answer'), end).toBe(expected);
      await rig.until('docker ps', 'the engine is back');
      expect(await keptCount()).toBe(2);
    }
    await rig.ok('docker rm -f db');
    await rig.until('test "$(systemctl show -P NFileDescriptorStore docker)" = 1', 'one is kept');
  });

  it('ask systemd-resolved, which knows whom to ask for which domain', async ({ skip }) => {
    const problem = await startResolved(rig);
    skip(problem !== null, problem ?? '');
    const steps = [
      ...['corp', 'world'].flatMap((link) => [
        `ip link add ${link} type veth peer name ${link}-end`,
        `ip link set ${link} up && ip link set ${link}-end up`,
      ]),
      'ip addr add 198.18.7.1/24 dev corp && ip addr add 198.18.8.1/24 dev world',
      `systemd-run -q --unit=dns-corp ${NODE} /srv/server.cjs 198.18.7.1 203.0.113.7`,
      `systemd-run -q --unit=dns-world ${NODE} /srv/server.cjs 198.18.8.1 203.0.113.8`,
      'resolvectl dns corp 198.18.7.1 && resolvectl domain corp "~corp.test"',
      'resolvectl dns world 198.18.8.1 && resolvectl domain world "~."',
      'resolvectl dnssec corp no && resolvectl dnssec world no',
      'rm -f /etc/resolv.conf && ln -s /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf',
    ];
    for (const step of steps) await rig.ok(step);
    await rig.until('resolvectl query --legend=no host.corp.test | grep -F 203.0.113.7', 'resolved asks its servers');
    const look = (name: string): string => `docker exec web nslookup ${name}`;
    await rig.until(`${look('host.corp.test')} | grep -F 203.0.113.7`, 'a container asks resolved');
    expect(await rig.ok(look('host.world.test'))).toContain('203.0.113.8');
    expect(await rig.ok(look('web'))).toContain(await address());
    expect(await rig.ok('docker run --rm --net shop busybox cat /etc/resolv.conf')).toContain(
      '# ExtServers: [host(127.0.0.53)]',
    );
  });
});
