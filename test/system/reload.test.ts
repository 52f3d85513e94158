/** `systemctl reload docker`: what it promises when it has returned. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SystemRig } from '../support/system-rig.ts';

const obstacle = SystemRig.obstacle();

describe.skipIf(obstacle !== null)(`systemctl reload${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  let rig: SystemRig;
  let pid: string;

  beforeAll(async () => {
    rig = await SystemRig.boot({ installed: true });
    await rig.ok('systemctl start docker.socket');
    await rig.importBusybox();
    await rig.ok('docker run -d --name web busybox sleep 10000');
    pid = await mainPid();
  });
  afterAll(async () => {
    await rig[Symbol.asyncDispose]();
  });

  it('has the edited sysconfig in force when it returns, and names what waits for a restart', async () => {
    await rig.ok(`sed -i 's/^DOCKER_OPTS=.*/DOCKER_OPTS="--label site=a --mtu 1400"/' /etc/sysconfig/docker`);
    await rig.ok('systemctl reload docker');
    expect(await rig.ok("docker info -f '{{.Labels}}'")).toBe('[site=a]');
    expect(
      await rig.ok(
        'busctl get-property org.moored.Engine1 /org/moored/Engine1/Config org.moored.Engine1.Config PendingRestart',
      ),
    ).toBe('as 1 "mtu"');
    await expectUntouched();
  });

  it('fails, changes nothing and says why when the configuration is wrong', async () => {
    await rig.ok(`sed -i 's/^DOCKER_OPTS=.*/DOCKER_OPTS="--label site=b --log-level loud"/' /etc/sysconfig/docker`);
    const reloaded = await rig.run('systemctl reload docker');
    expect(reloaded.code).not.toBe(0);
    expect(await rig.ok("docker info -f '{{.Labels}}'")).toBe('[site=a]');
    expect(await rig.ok('journalctl -u docker -o cat --no-pager')).toContain('invalid logging level: loud');
    await expectUntouched();
    await rig.ok(`sed -i 's/^DOCKER_OPTS=.*/DOCKER_OPTS="--label site=c"/' /etc/sysconfig/docker`);
    await rig.ok('systemctl reload docker');
    expect(await rig.ok("docker info -f '{{.Labels}}'")).toBe('[site=c]');
  });

  it('signals an engine that is not on the bus', async () => {
    await rig.ok(
      `sed -i 's/^DOCKER_DBUS=.*/DOCKER_DBUS=no/; s/^DOCKER_LIVE_RESTORE=.*/DOCKER_LIVE_RESTORE=yes/' /etc/sysconfig/docker`,
    );
    await rig.ok('systemctl reload docker && systemctl restart docker');
    pid = await mainPid();
    await rig.ok(`sed -i 's/^DOCKER_OPTS=.*/DOCKER_OPTS="--label site=d"/' /etc/sysconfig/docker`);
    await rig.ok('systemctl reload docker');
    await rig.until("docker info -f '{{.Labels}}' | grep -F '[site=d]'", 'the new label');
    await expectUntouched();
  });

  function mainPid(): Promise<string> {
    return rig.ok('systemctl show -p MainPID --value docker');
  }

  async function expectUntouched(): Promise<void> {
    expect(await mainPid()).toBe(pid);
    expect(await rig.ok("docker inspect -f '{{.State.Running}} {{.RestartCount}}' web")).toBe('true 0');
  }
});
