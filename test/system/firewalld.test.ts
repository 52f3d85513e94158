/** Containers behind a real firewalld, which knows nothing of them but what the engine tells it. */
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SystemRig } from '../support/system-rig.ts';

const obstacle =
  SystemRig.obstacle() ?? (spawnSync('firewalld', ['--help']).status === 0 ? null : 'firewalld is not installed');
const SERVICE = 'org.moored.Engine1';
const BACKEND = `busctl get-property ${SERVICE} /org/moored/Engine1/Manager ${SERVICE}.Manager FirewallBackend`;

describe.skipIf(obstacle !== null)(`firewalld${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  let rig: SystemRig;
  const zoneOf = async (link: string): Promise<string> =>
    (await rig.run(`firewall-cmd --get-zone-of-interface=${link}`)).stdout.trim();
  /** What another machine gets from the published port; '' for nothing. */
  const published = async (port = 8080): Promise<string> =>
    (await rig.run(`ip netns exec client timeout 2 busybox nc 192.0.2.1 ${String(port)} </dev/null`)).stdout.trim();
  const outward = async (): Promise<boolean> =>
    (await rig.run('docker exec web timeout 2 nc 192.0.2.2 7000 </dev/null')).stdout.trim() === 'world';
  const inZone = (link: string, zone: string): Promise<string> =>
    rig.until(`firewall-cmd --get-zone-of-interface=${link} | grep -x ${zone}`, `${link} is in the zone ${zone}`);

  beforeAll(async () => {
    rig = await SystemRig.boot({ installed: true });
    await rig.ok(
      [
        'ip netns add client',
        'ip link add uplink type veth peer name eth0 netns client',
        'ip addr add 192.0.2.1/24 dev uplink && ip link set uplink up',
        'ip -n client addr add 192.0.2.2/24 dev eth0 && ip -n client link set eth0 up && ip -n client link set lo up',
        'ip -n client route add default via 192.0.2.1',
        'systemctl start firewalld',
        'systemctl start docker.service',
      ].join(' && '),
    );
    await rig.ok('systemd-run --quiet ip netns exec client busybox nc -ll -p 7000 -e echo world');
    await rig.importBusybox();
    await rig.ok(
      'docker run -d --name web --restart=always --stop-signal=KILL -p 8080:80 busybox nc -ll -p 80 -e echo inside',
    );
    await rig.until('docker exec web nc 127.0.0.1 80 </dev/null | grep inside', 'the server listens');
  });
  afterAll(async () => {
    await rig[Symbol.asyncDispose]();
  });

  // Each test begins with a firewalld that runs, whatever the one before it has come to.
  beforeEach(async () => {
    await rig.ok('systemctl start firewalld docker');
    await inZone('docker0', 'docker');
  });

  for (const kind of ['nftables', 'iptables'] as const) {
    describe(`with ${kind}`, () => {
      beforeAll(async () => {
        await rig.ok(`echo '{"firewall-backend": "${kind}"}' >/etc/docker/daemon.json && systemctl restart docker`);
        await rig.until('docker exec web nc 127.0.0.1 80 </dev/null | grep inside', 'the server is back');
      });

      it('publishes through the default zone, and gives the bridge to the zone docker', async () => {
        expect(await zoneOf('docker0')).toBe('docker');
        expect(await rig.ok('firewall-cmd --permanent --zone=docker --get-target')).toBe('ACCEPT');
        expect(await rig.ok('firewall-cmd --get-policies')).toContain('docker-forwarding');
        expect(await published()).toBe('inside');
        expect(await outward()).toBe(true);
        expect(await rig.ok(BACKEND)).toBe(`s "firewalld+${kind}"`);
        expect(await rig.ok("docker info --format '{{json .}}'")).toContain('"Name"');
      });

      it('stays reachable through reloads and restarts of firewalld', async () => {
        for (const what of ['firewall-cmd --reload', 'systemctl restart firewalld']) {
          await rig.ok(what);
          await inZone('docker0', 'docker');
          expect([what, await published(), await outward()]).toEqual([what, 'inside', true]);
        }
      });

      it('goes on without firewalld, and with one that starts later', async () => {
        await rig.ok('systemctl stop firewalld');
        await rig.until(`${BACKEND} | grep -v firewalld`, 'its end is noticed');
        expect(await published()).toBe('inside');
        await rig.ok('docker network create late');
        await rig.ok('systemctl start firewalld');
        const link = `br-${(await rig.ok("docker network inspect -f '{{.Id}}' late")).slice(0, 12)}`;
        await inZone(link, 'docker');
        expect(await published()).toBe('inside');
        await rig.ok('docker network rm late');
        expect(await zoneOf(link)).toBe('');
      });
    });
  }

  it('gives a network’s bridge to the zone it names, and refuses one that is not there', async () => {
    const option = 'org.moored.network.firewalld.zone';
    await rig.ok(`docker network create -o com.docker.network.bridge.name=named0 -o ${option}=trusted named`);
    expect(await zoneOf('named0')).toBe('trusted');
    await rig.ok('firewall-cmd --reload');
    await inZone('named0', 'trusted');
    const refused = await rig.run(
      `docker network create -o com.docker.network.bridge.name=named1 --label ${option}=nowhere none-such`,
    );
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('there is no zone nowhere')]);
    expect((await rig.run('ip link show named1')).code).not.toBe(0);
    await rig.ok('docker network rm named');
  });

  it('waits for a firewalld that hangs once, and not for long', async () => {
    await rig.ok('systemctl kill --signal=STOP firewalld');
    try {
      const begun = performance.now();
      await rig.ok('docker network create first');
      await rig.ok('docker network create second');
      await rig.ok('docker run --rm --network first busybox true');
      // One call's deadline is 3 s.
      expect(performance.now() - begun).toBeLessThan(8_000);
    } finally {
      await rig.ok('systemctl kill --signal=CONT firewalld');
    }
    await rig.ok('docker network rm first second');
  });

  it('leaves zone and policy, and nothing else, when the engine is torn down', async () => {
    await rig.ok('docker rm -f web && systemctl stop docker.socket docker.service');
    await rig.ok('/usr/bin/moored --tear-down');
    expect(await zoneOf('docker0')).toBe('');
    expect(await rig.ok('firewall-cmd --get-zones')).toContain('docker');
    expect(await rig.ok('iptables -S')).not.toMatch(/docker0|DOCKER-FORWARD/);
  });
});
