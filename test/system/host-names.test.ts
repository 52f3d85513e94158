/** Containers by name on a host with a real systemd-resolved. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startResolved } from '../support/resolved-tree.ts';
import { SystemRig } from '../support/system-rig.ts';

const obstacle = SystemRig.obstacle();

describe.skipIf(obstacle !== null)(`names on a host${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  let rig: SystemRig;
  let problem: string | null = null;

  beforeAll(async () => {
    rig = await SystemRig.boot({ installed: true, files: { '/etc/docker/daemon.json': '{"host-names": "docker"}' } });
    problem = await startResolved(rig);
    if (problem !== null) return;
    await rig.ok('systemctl start docker.service');
    await rig.importBusybox();
    await rig.ok('docker network create shop');
    await rig.ok('docker run -d --name web --restart=always --stop-timeout 0 --net shop busybox sleep 600');
  });
  afterAll(async () => {
    await rig[Symbol.asyncDispose]();
  });

  const query = async (name: string): Promise<string> =>
    (await rig.run(`resolvectl query --legend=no -4 ${name}`)).stdout.split(' ')[1] ?? '';
  const address = (): Promise<string> => rig.ok(`docker inspect -f '{{.NetworkSettings.Networks.shop.IPAddress}}' web`);
  const untilResolved = (): Promise<unknown> => rig.until('resolvectl query web.docker', 'web.docker is known');

  it('are known to resolved, through restarts of either, as long as the engine runs', async ({ skip }) => {
    skip(problem !== null, problem ?? '');
    await untilResolved();
    expect(await query('web.docker')).toBe(await address());
    expect(await query('web.shop.docker')).toBe(await address());
    expect(await query('none.docker')).toBe('');
    // Its own name server would ask the host's resolver, which knows all networks.
    expect((await rig.run('docker exec web nslookup web.docker')).stdout).toContain('NXDOMAIN');
    expect(await rig.ok('resolvectl domain')).toMatch(/\(mnames[0-9a-f]{8}\): ~docker$/m);

    await rig.ok('rm -rf /run/systemd/resolve/netif && systemctl restart systemd-resolved');
    await untilResolved();
    await rig.ok('systemctl restart docker');
    await rig.until('docker ps --format "{{.Names}}" | grep web', 'web runs again');
    await untilResolved();
    expect(await query('web.docker')).toBe(await address());

    await rig.ok('systemctl stop systemd-resolved docker.socket docker.service');
    await rig.ok('systemctl start systemd-resolved');
    expect(await rig.ok('resolvectl domain')).not.toContain('~docker');
    expect(await rig.ok('ip -br link')).not.toContain('mnames');
  });
});
