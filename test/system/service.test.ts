/** docker.service and docker.socket under systemd: activation, readiness, restarts, boot, idleness, watchdog. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SystemRig } from '../support/system-rig.ts';

const obstacle = SystemRig.obstacle();
const FILES = { '/etc/docker/daemon.json': JSON.stringify({ bridge: 'none', iptables: false }) };

describe.skipIf(obstacle !== null)(
  `docker.service by docker.socket${obstacle === null ? '' : ` (skipped: ${obstacle})`}`,
  () => {
    let rig: SystemRig;
    const show = (property: string, unit = 'docker.service'): Promise<string> =>
      rig.ok(`systemctl show -p ${property} --value ${unit}`);
    const configure = (settings: object): Promise<void> =>
      rig.write('/etc/docker/daemon.json', JSON.stringify({ bridge: 'none', iptables: false, ...settings }));
    const pidOf = (name: string): Promise<string> => rig.ok(`docker inspect -f '{{.State.Pid}}' ${name}`);
    const socketInode = (): Promise<string> => rig.ok('stat -c %i /run/docker.sock');

    beforeAll(async () => {
      rig = await SystemRig.boot({ installed: true, files: FILES });
      await rig.ok('systemctl enable --now docker.socket && usermod -aG docker alice');
    });

    afterAll(async () => {
      await rig[Symbol.asyncDispose]();
    });

    it('starts with the first command of a user in the group, and lets nobody else in', async () => {
      expect(await rig.ok('systemctl is-active docker.service || true')).toBe('inactive');
      expect(await rig.ok('stat -c "%U:%G %a" /run/docker.sock')).toBe('root:docker 660');
      const refused = await rig.run('docker ps', { user: 'bob' });
      expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('permission denied')]);
      expect(await rig.ok('systemctl is-active docker.service || true')).toBe('inactive');
      expect(await rig.ok('docker ps -q', { user: 'alice' })).toBe('');
      expect(await rig.ok('systemctl is-active docker.service')).toBe('active');
      expect(await rig.ok('journalctl -u docker --no-pager -o cat')).toContain('API listen on /run/docker.sock');
    });

    it('tells systemd how it is, and gives nothing of systemd to containers', async () => {
      await rig.importBusybox();
      expect(await show('StatusText')).toBe('No container running');
      await rig.ok('docker run -d --name web busybox top');
      await rig.until('systemctl show -p StatusText docker | grep "1 container running"', 'the status');
      const environment = await rig.ok('docker exec web env; tr "\\0" "\\n" < /proc/$(pgrep -o conmon)/environ');
      expect(environment).not.toMatch(/LISTEN_|NOTIFY_SOCKET|WATCHDOG/);
      const inherited = await rig.ok('readlink /proc/$(systemctl show -p MainPID --value docker)/fd/3');
      expect(inherited).toMatch(/^socket:/);
      expect(await rig.ok('ls -l /proc/$(pgrep -o conmon)/fd')).not.toContain(inherited);
      await rig.ok('docker rm -f web');
    });

    it('stops containers with the service, and starts those of a policy again; the socket file stays', async () => {
      const inode = await socketInode();
      await rig.ok('docker run -d --name kept --restart always busybox top; docker run -d --name plain busybox top');
      await rig.ok('systemctl stop docker.service');
      expect(await rig.ok('pgrep -x top || true')).toBe('');
      expect(await socketInode()).toBe(inode);
      expect(await rig.ok('test -e /var/lib/moored/autostart && echo kept')).toBe('kept');
      await rig.until('docker inspect -f "{{.State.Running}}" kept | grep true', 'the container with a policy');
      expect(await rig.ok('docker inspect -f "{{.State.Running}}" plain')).toBe('false');
      await rig.ok('systemctl restart docker.service');
      expect(await socketInode()).toBe(inode);
      await rig.ok('docker rm -f kept plain');
      await rig.until('! test -e /var/lib/moored/autostart', 'the end of the flag');
    });

    it('leaves containers alone with live-restore, which a reload is enough for', async () => {
      await rig.ok('docker run -d --name web busybox top');
      const pid = await pidOf('web');
      await configure({ 'live-restore': true });
      await rig.ok('systemctl reload docker.service');
      expect(await rig.ok("docker info -f '{{.LiveRestoreEnabled}}'")).toBe('true');
      expect(await show('ActiveState')).toBe('active');
      await rig.ok('systemctl restart docker.service');
      expect(await pidOf('web')).toBe(pid);
      await rig.ok('systemctl stop docker.service && kill -0 ' + pid);
      expect(await rig.ok('docker exec web echo alive')).toBe('alive');
      await rig.ok('docker rm -f web');
    });

    it('comes back from a hang by the watchdog, with its containers', async () => {
      await rig.write(
        '/etc/systemd/system/docker.service.d/watchdog.conf',
        '[Service]\nWatchdogSec=3\nRestartSec=100ms\n',
      );
      await configure({ 'live-restore': true });
      await rig.ok('systemctl daemon-reload && systemctl restart docker.service');
      await rig.ok('docker run -d --name web busybox top');
      const pid = await pidOf('web');
      const main = await show('MainPID');
      const since = await rig.ok('cut -d" " -f1 /proc/uptime');
      await rig.ok(`kill -STOP ${main}`);
      await rig.until(`test "$(systemctl show -p NRestarts --value docker)" -ge 1 && docker ps`, 'the restart');
      expect(Number(await rig.ok('cut -d" " -f1 /proc/uptime')) - Number(since)).toBeGreaterThan(1);
      expect(await show('MainPID')).not.toBe(main);
      expect(await pidOf('web')).toBe(pid);
      // Fed while it is well: no further restart within twice the time.
      const restarts = await show('NRestarts');
      const until = Number(await rig.ok('cut -d" " -f1 /proc/uptime')) + 6;
      await rig.until(
        `awk '{ exit !($1 > ${String(until)}) }' /proc/uptime`,
        'the watchdog to strike twice, if it would',
      );
      expect(await show('NRestarts')).toBe(restarts);
      await rig.ok('docker rm -f web; rm -r /etc/systemd/system/docker.service.d; systemctl daemon-reload');
      await configure({});
      await rig.ok('systemctl restart docker.service');
    });

    it('ends when idle, and loses no request that comes meanwhile', async () => {
      await configure({ 'idle-exit': 1 });
      await rig.ok('systemctl restart docker.service');
      await rig.until('systemctl is-active docker.service | grep inactive', 'the end of the idle engine');
      expect(await rig.ok('systemctl is-active docker.socket')).toBe('active');
      expect(await show('Result')).toBe('success');
      // Right around the end: whoever connects is served, by this engine or the next.
      await rig.ok('docker ps -q');
      for (let attempt = 0; attempt < 6; attempt++) {
        await rig.ok(`sleep ${(0.85 + attempt * 0.06).toFixed(2)}; docker ps -q`);
      }
      await rig.ok('docker run -d --name web busybox top');
      const main = await show('MainPID');
      const until = Number(await rig.ok('cut -d" " -f1 /proc/uptime')) + 3;
      await rig.until(`awk '{ exit !($1 > ${String(until)}) }' /proc/uptime`, 'the engine to end, if it would');
      expect(await show('MainPID')).toBe(main);
      await rig.ok('docker rm -f web');
      await configure({});
      await rig.ok('systemctl reset-failed; systemctl restart docker.service');
    });

    it('starts containers at boot although only the socket is enabled', async () => {
      expect(await rig.ok('systemctl is-enabled docker.service || true')).toBe('disabled');
      await rig.ok('docker run -d --name kept --restart unless-stopped busybox top');
      await rig.reboot();
      await rig.until('systemctl is-active docker.service', 'the engine');
      await rig.until('pgrep -x top', 'the container');
      await rig.ok('docker rm -f kept');
      await rig.until('! test -e /var/lib/moored/autostart', 'the end of the flag');
      await rig.reboot();
      await rig.until('systemctl is-active sockets.target docker.socket', 'the boot');
      await rig.until('systemctl is-active multi-user.target basic.target | grep -q active', 'the boot');
      expect(await rig.ok('systemctl is-active docker.service || true')).toBe('inactive');
    });

    it.each([
      ['without live-restore', {}],
      ['with live-restore', { 'live-restore': true }],
      ['in scopes, with live-restore', { 'live-restore': true, 'exec-opts': ['native.cgroupdriver=systemd'] }],
    ])('ends containers in good order at a reboot %s', async (_how, options) => {
      await configure(options);
      await rig.ok('systemctl restart docker.service');
      await rig.ok(
        'docker run -d --name web --stop-signal INT busybox sh -c \'trap "echo in order; exit 7" INT; while :; do sleep 0.1; done\'',
      );
      await rig.ok("docker run -d --name kept --restart always busybox top && docker exec web sh -c 'kill -0 1'");
      await rig.reboot();
      // The first answer has what came back with the engine.
      expect(await rig.ok("docker ps -a --format '{{.Names}} {{.State}}' | sort")).toBe('kept running\nweb exited');
      expect(await rig.ok("docker inspect -f '{{.State.ExitCode}}' web; docker logs web")).toBe('7\nin order');
      await rig.ok('docker rm -f kept web');
      await configure({});
      await rig.ok('systemctl restart docker.service');
    });

    it('opens no debugger at SIGUSR1', async () => {
      await rig.ok('docker ps -q');
      const main = await show('MainPID');
      await rig.ok('systemctl kill -s USR1 docker.service; docker ps -q');
      expect(await rig.ok('ss -Hltn')).toBe('');
      expect(await show('MainPID')).toBe(main);
    });

    it('says what to do when -H fd:// finds nothing', async () => {
      const node = await rig.ok("systemctl show -p ExecStart docker | grep -o 'argv\\[\\]=[^;]*' | cut -d= -f2-");
      const refused = await rig.run(`${node} -H fd:// --data-root /var/lib/docker/other -p /run/other.pid 2>&1`);
      expect(refused.code).toBe(1);
      expect(refused.stdout).toContain(
        'no sockets found via socket activation: make sure the service was started by systemd',
      );
      expect(refused.stdout).toContain('systemctl start docker.socket');
    });
  },
);
