/** The D-Bus front on a real system bus: activation, log level, the bus and polkit restarted or away. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SystemRig } from '../support/system-rig.ts';

const obstacle = SystemRig.obstacle();
const SERVICE = 'org.moored.Engine1';

describe.skipIf(obstacle !== null)(`the system bus${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  let rig: SystemRig;
  let container = '';
  const mainPid = (): Promise<string> => rig.ok('systemctl show -p MainPID --value docker.service');
  const inspect = (id: string): string => `busctl call ${SERVICE} ${id} ${SERVICE}.Container Inspect`;

  beforeAll(async () => {
    rig = await SystemRig.boot({
      installed: true,
      files: { '/etc/docker/daemon.json': JSON.stringify({ bridge: 'none', iptables: false }) },
    });
    await rig.ok('systemctl start docker.socket');
    await rig.importBusybox();
    container = `/org/moored/Engine1/container/${await rig.ok('docker create --name web busybox top')}`;
  });
  afterAll(async () => {
    await rig[Symbol.asyncDispose]();
  });

  it('starts the service by a call', async () => {
    await rig.ok('systemctl stop docker.service');
    expect(await rig.ok(`busctl get-property ${SERVICE} ${container} ${SERVICE}.Container Name`)).toBe('s "web"');
    expect(await rig.ok('systemctl is-active docker.service')).toBe('active');
  });

  it('changes the log level by systemctl, for root alone', async () => {
    expect(await rig.ok('systemctl service-log-level docker')).toBe('info');
    await rig.ok('systemctl service-log-level docker debug');
    expect(await rig.ok('systemctl service-log-level docker')).toBe('debug');
    await rig.ok('systemctl service-log-level docker info');
    const refused = await rig.run(
      `busctl set-property ${SERVICE} /org/freedesktop/LogControl1 org.freedesktop.LogControl1 LogLevel s debug`,
      { user: 'bob' },
    );
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/access denied/i)]);
    expect(await rig.ok('systemctl service-log-level docker')).toBe('info');
  });

  it('asks polkit anew after it was restarted, and lets only root act while it is away', async () => {
    const denied = async (): Promise<string> => (await rig.run(inspect(container), { user: 'bob' })).stderr;
    await rig.ok('usermod -aG docker alice');
    await rig.ok(inspect(container), { user: 'alice' });
    expect(await denied()).toMatch(/access denied|interactive authentication/i);
    await rig.ok('systemctl restart polkit.service');
    await rig.ok(inspect(container), { user: 'alice' });
    await rig.ok('systemctl mask --runtime polkit.service && systemctl stop polkit.service');
    const away = await rig.run(`gdbus call --system -d ${SERVICE} -o ${container} -m ${SERVICE}.Container.Inspect`, {
      user: 'alice',
    });
    expect(away.stderr).toContain('polkit cannot be reached, so only root may do this');
    await rig.ok(inspect(container));
    await rig.ok('systemctl unmask --runtime polkit.service');
    await rig.ok(inspect(container), { user: 'alice' });
    expect(await rig.ok('journalctl -u docker -o cat --no-pager')).toContain('only root may use the D-Bus interface');
  });

  it('outlives the bus: same process, same containers, the name again', async () => {
    await rig.ok('docker start web');
    const before = await mainPid();
    await rig.ok('kill -KILL $(systemctl show -p MainPID --value dbus.service)');
    await rig.until(
      `busctl get-property ${SERVICE} ${container} ${SERVICE}.Container State | grep -q running`,
      'the name on the new bus',
    );
    expect(await mainPid()).toBe(before);
    expect(await rig.ok('systemctl show -p NRestarts --value docker.service')).toBe('0');
    expect(await rig.ok('docker inspect -f "{{.State.Running}}" web')).toBe('true');
    expect(await rig.ok('journalctl -u docker -o cat --no-pager')).toContain(
      'the connection to the system bus is lost',
    );
    await rig.ok('docker rm -f web');
    await rig.until(`! busctl tree --list ${SERVICE} | grep -q container/`, 'the removal');
  });

  it('is no condition: the daemon works when its front cannot be made, and makes it later', async () => {
    const documents = '/usr/lib/moored/src/dbus/introspection';
    await rig.ok(`mv ${documents} ${documents}.away && systemctl restart docker.service`);
    expect(await rig.ok('systemctl is-active docker.service && docker version -f ok')).toBe('active\nok');
    await rig.until(
      "journalctl -u docker -o cat --no-pager | grep 'interface could not be made; trying again in 2 s'",
      'a second attempt',
    );
    await rig.ok(`mv ${documents}.away ${documents}`);
    await rig.until(`journalctl -u docker -o cat --no-pager -n 1 | grep 'D-Bus interface is up'`, 'the front');
    expect(await rig.ok(`busctl get-property ${SERVICE} /org/moored/Engine1/Manager ${SERVICE}.Manager State`)).toBe(
      's "running"',
    );
  });

  it('keeps neither the start nor the end of the daemon when it hangs', async () => {
    const listener =
      'import socket,time; s=socket.socket(socket.AF_UNIX); s.bind("/run/hang"); s.listen(); time.sleep(600)';
    await rig.ok(
      `systemd-run --quiet --unit=hang /usr/bin/python3 -c '${listener}' && while [ ! -S /run/hang ]; do :; done`,
    );
    await rig.write(
      '/run/systemd/system/docker.service.d/hang.conf',
      '[Service]\nEnvironment=DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/hang\nTimeoutStartSec=8\nTimeoutStopSec=8\n',
    );
    await rig.ok('systemctl daemon-reload && systemctl restart docker.service && docker version');
    await rig.ok('systemctl stop docker.service');
    expect(await rig.ok('systemctl show -p Result --value docker.service')).toBe('success');
    await rig.ok(
      'rm -r /run/systemd/system/docker.service.d && systemctl daemon-reload && systemctl stop hang.service',
    );
  });
});
