import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SystemRig } from '../support/system-rig.ts';

const obstacle = SystemRig.obstacle();
const MONITORS = 'docker-monitors.scope';
const MAIN_PID = 'systemctl show docker.service -p MainPID --value';
const DAEMON_JSON = JSON.stringify({
  'exec-opts': ['native.cgroupdriver=systemd'],
  'live-restore': true,
  bridge: 'none',
});

describe.skipIf(obstacle !== null)(
  `containers as systemd's${obstacle === null ? '' : ` (skipped: ${obstacle})`}`,
  () => {
    let rig: SystemRig;

    beforeAll(async () => {
      rig = await SystemRig.boot({ installed: true, files: { '/etc/docker/daemon.json': DAEMON_JSON } });
      await rig.ok('systemctl start docker.socket docker.service');
      await rig.importBusybox();
    });

    afterAll(async () => {
      await rig[Symbol.asyncDispose]();
    });

    const scopeOf = async (name: string): Promise<string> =>
      `docker-${await rig.ok(`docker inspect -f '{{.Id}}' ${name}`)}.scope`;

    const show = async (unit: string, ...names: readonly string[]): Promise<Readonly<Record<string, string>>> => {
      const text = await rig.ok(`systemctl show ${unit} ${names.map((name) => `-p ${name}`).join(' ')}`);
      return Object.fromEntries(text.split('\n').map((line) => line.split(/=(.*)/s).slice(0, 2)));
    };

    const isCalled = (scope: string, name: string): Promise<string> =>
      rig.until(`systemctl show -p Description ${scope} | grep -x 'Description=Docker container ${name}'`, name);

    it('says so', async () => {
      expect(await rig.ok(`docker info -f '{{.CgroupDriver}}'`)).toBe('systemd');
    });

    it.each(['crun', 'runc'])('makes each a scope with its limits as properties (%s)', async (runtime) => {
      const limits = '-m 64m --memory-swap 96m --cpus 0.5 --pids-limit 77';
      await rig.ok(`docker run -d --runtime ${runtime} --name lim-${runtime} ${limits} busybox sleep 1000`);
      const scope = await scopeOf(`lim-${runtime}`);
      expect(
        await show(scope, 'MemoryMax', 'MemorySwapMax', 'CPUQuotaPerSecUSec', 'TasksMax', 'Slice', 'ActiveState'),
      ).toEqual({
        MemoryMax: String(64 * 1024 * 1024),
        MemorySwapMax: String(32 * 1024 * 1024),
        CPUQuotaPerSecUSec: '500ms',
        TasksMax: '77',
        Slice: 'docker.slice',
        ActiveState: 'active',
      });
      const changes = '-m 128m --memory-swap 160m --pids-limit 88 --cpus 0.25';
      await rig.ok(`docker update ${changes} lim-${runtime} && systemctl daemon-reload`);
      expect(await show(scope, 'MemoryMax', 'MemorySwapMax', 'CPUQuotaPerSecUSec', 'TasksMax')).toEqual({
        MemoryMax: String(128 * 1024 * 1024),
        MemorySwapMax: String(32 * 1024 * 1024),
        CPUQuotaPerSecUSec: '250ms',
        TasksMax: '88',
      });
      await isCalled(scope, `lim-${runtime}`);
      await rig.ok(`docker rename lim-${runtime} other-${runtime}`);
      await isCalled(scope, `other-${runtime}`);
      await rig.ok(`docker pause other-${runtime} && docker unpause other-${runtime}`);
      expect(await rig.ok(`docker exec other-${runtime} echo inside`)).toBe('inside');
      await rig.ok(`docker stop -t 0 other-${runtime}`);
      expect(await rig.ok(`docker inspect -f '{{.State.ExitCode}}' other-${runtime}`)).toBe('137');
      await rig.until(`! systemctl is-active -q ${scope}`, 'the end of the scope');
      await rig.ok(`docker rm other-${runtime}`);
    });

    it.each(['crun', 'runc'])('tells of the OOM killer (%s)', async (runtime) => {
      const greedy = 'x=a; while :; do x=$x$x; done';
      await rig.run(`docker run --runtime ${runtime} --name oom-${runtime} -m 16m busybox sh -c '${greedy}'`);
      expect(await rig.ok(`docker inspect -f '{{.State.ExitCode}} {{.State.OOMKilled}}' oom-${runtime}`)).toBe(
        '137 true',
      );
      await rig.ok(`docker rm oom-${runtime}`);
    });

    it('puts one below the slice that it names, and takes nothing else for a parent', async () => {
      await rig.ok('docker run -d --name nested --cgroup-parent moored-test.slice busybox sleep 1000');
      const scope = await scopeOf('nested');
      expect(await show(scope, 'ControlGroup')).toEqual({
        ControlGroup: `/moored.slice/moored-test.slice/${scope}`,
      });
      expect(await rig.ok(`docker inspect -f '{{.HostConfig.CgroupParent}}' nested`)).toBe('moored-test.slice');
      await rig.ok('docker rm -f nested');
      for (const parent of ['/docker', 'x.scope', '.slice', 'a--b.slice', '-a.slice', 'a/b.slice']) {
        const refused = await rig.run(`docker create --cgroup-parent ${parent} busybox true`);
        expect(refused.stderr, parent).toContain(
          'cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"',
        );
      }
    });

    it('leaves no process of a container in the service’s own group, whatever becomes of the service', async () => {
      await rig.ok('docker run -d --name web busybox sleep 1000');
      await rig.ok('docker exec -d web sleep 1000');
      const group = await rig.ok('systemctl show docker.service -p ControlGroup --value');
      const members = `cat /sys/fs/cgroup/systemd${group}/cgroup.procs 2>/dev/null || cat /sys/fs/cgroup${group}/cgroup.procs`;
      expect(await rig.ok(members)).toBe(await rig.ok(MAIN_PID));
      expect(await rig.ok(`systemctl status --no-pager ${MONITORS}`)).toContain('conmon');

      await rig.ok('systemctl stop docker.service');
      expect(await rig.ok(`systemctl status --no-pager ${MONITORS}`)).toContain('conmon');
      await rig.ok('systemctl start docker.service');
      expect(await rig.ok(`docker inspect -f '{{.State.Status}}' web`)).toBe('running');

      await rig.ok(`kill -KILL $(${MAIN_PID})`);
      await rig.until('docker ps', 'the engine');
      expect(await rig.ok('docker exec web echo still')).toBe('still');
      expect(await show(await scopeOf('web'), 'ActiveState')).toEqual({ ActiveState: 'active' });
      expect(await rig.ok('journalctl -b --no-pager')).not.toMatch(/left-over process/i);
      await rig.ok('docker rm -f web');
    });

    it('makes the scope of the monitors anew when somebody has stopped it', async () => {
      await rig.ok('docker run --rm busybox true');
      // In a guest systemd is not told that a v1 group is empty, and waits its time: that is ten seconds in the rig.
      await rig.ok(`systemctl stop ${MONITORS}`);
      expect(await rig.ok('docker run --rm busybox echo again')).toBe('again');
      expect(await rig.ok(`systemctl is-active ${MONITORS}`)).toBe('active');
    });

    it('keeps monitors with the engine, and says why, where systemd cannot be asked', async () => {
      await rig.ok('systemctl stop docker.service');
      await rig.write(
        '/run/systemd/system/docker.service.d/no-bus.conf',
        '[Service]\nEnvironment=DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nowhere\n',
      );
      await rig.ok('systemctl daemon-reload && systemctl start docker.service');
      expect(await rig.ok('docker run --rm busybox echo anyway')).toBe('anyway');
      expect(await rig.ok('journalctl -b --no-pager -u docker.service')).toContain(`${MONITORS} cannot be used`);
      await rig.ok('rm -r /run/systemd/system/docker.service.d && systemctl daemon-reload');
    });
  },
);
