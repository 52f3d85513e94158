/**
 * moored as an installed service on the host that is met most (nothing but cgroup v2, below systemd), with the storage
 * driver that needs this kernel. The machine is emulated, so each test does all that it can with one container.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VmRig } from '../support/vm-rig.ts';

const obstacle = VmRig.obstacle();
const MIB = 1024 * 1024;
const LIMITS = '--memory 64m --memory-swap 96m --memory-reservation 32m --cpus 0.5 --cpu-shares 512 --pids-limit 50';
const LIMITS_INSIDE = ['67108864', '33554432', '33554432', '50', '50000 100000', '20', '0'];
const SETTINGS = {
  iptables: false,
  bridge: 'none',
  'storage-driver': 'devicemapper',
  'storage-opts': ['dm.loopdatasize=160M', 'dm.loopmetadatasize=16M', 'dm.basesize=64M', 'dm.fs=ext4'],
};

describe.skipIf(obstacle !== null)(
  `docker.service in an emulated machine${obstacle === null ? '' : ` (skipped: ${obstacle})`}`,
  () => {
    let rig: VmRig;

    beforeAll(async () => {
      rig = await VmRig.boot({ installed: true, files: { '/etc/docker/daemon.json': JSON.stringify(SETTINGS) } });
      await rig.ok('systemctl start docker.socket');
      await rig.importBusybox();
    });

    afterAll(async () => {
      await rig[Symbol.asyncDispose]();
    });

    const configure = async (settings: object): Promise<void> => {
      await rig.write('/etc/docker/daemon.json', JSON.stringify({ ...SETTINGS, ...settings }));
      await rig.ok('systemctl restart docker.service');
    };
    const seenInside = async (name: string): Promise<readonly string[]> => {
      const files = 'memory.max memory.swap.max memory.low pids.max cpu.max cpu.weight cpuset.cpus';
      return (await rig.ok(`docker exec ${name} sh -c 'cd /sys/fs/cgroup && cat ${files}'`)).split('\n');
    };
    /** The device mapper's devices: the pool's, and what is active in it. */
    const devices = async (): Promise<{ readonly pools: number; readonly thin: number }> => {
      const targets = (await rig.ok('dmsetup table')).split('\n');
      const count = (target: string): number => targets.filter((line) => line.includes(` ${target} `)).length;
      return { pools: count('thin-pool'), thin: count('thin') };
    };

    it('puts a container into a scope of systemd’s, with every limit in it and in its unit', async () => {
      expect(await rig.ok(`docker info -f '{{.CgroupDriver}} {{.CgroupVersion}}'`)).toBe('systemd 2');
      const id = await rig.ok(`docker run -d --name web --cpuset-cpus 0 ${LIMITS} busybox top`);
      const scope = `docker-${id}.scope`;
      expect(await seenInside('web')).toEqual(LIMITS_INSIDE);
      const names = 'Slice,ControlGroup,MemoryMax,MemorySwapMax,MemoryLow,CPUQuotaPerSecUSec,TasksMax';
      const shown = (await rig.ok(`systemctl show ${scope} -p ${names}`)).split('\n').sort();
      expect(shown).toEqual([
        'CPUQuotaPerSecUSec=500ms',
        `ControlGroup=/docker.slice/${scope}`,
        `MemoryLow=${String(32 * MIB)}`,
        `MemoryMax=${String(64 * MIB)}`,
        `MemorySwapMax=${String(32 * MIB)}`,
        'Slice=docker.slice',
        'TasksMax=50',
      ]);
      // systemd writes anew what it knows of a unit.
      await rig.ok('systemctl daemon-reload');
      expect(await seenInside('web')).toEqual(LIMITS_INSIDE);
    });

    it('has its root on a thin device, as info and inspect tell', async () => {
      const info = await rig.ok('docker info');
      expect(info).toContain('Storage Driver: devicemapper');
      for (const line of [/Pool Name: docker-\d+:\d+-\d+-pool/, /Base Device Size: 67\.11MB/, /Data loop file: /]) {
        expect(info).toMatch(line);
      }
      expect(await rig.ok(`docker inspect -f '{{.GraphDriver.Name}}' web`)).toBe('devicemapper');
      expect(await rig.ok('docker exec web grep " / " /proc/mounts')).toMatch(/^\/dev\/\S+ \/ ext4 /);
      expect(await devices()).toEqual({ pools: 1, thin: 1 });
    });

    it('gives a container the size that it asks for, and no more', async () => {
      const fill = `sh -c 'dd if=/dev/zero of=/big bs=1M count=80; ls -l /big | grep -c 83886080'`;
      expect(await rig.ok(`docker run --rm --storage-opt size=128M busybox ${fill}`)).toBe('1');
      const full = await rig.run(`docker run --rm busybox ${fill}`);
      expect(full).toMatchObject({ code: 1, stderr: expect.stringContaining('No space left on device') });
      const small = await rig.run('docker create --storage-opt size=32M busybox true');
      expect(small).toMatchObject({ code: 1, stderr: expect.stringContaining('cannot be smaller than') });
      expect(await devices()).toEqual({ pools: 1, thin: 1 });
    });

    it('answers with errors while its pool is full, and works again when there is room', async () => {
      const fill = 'dd if=/dev/zero of=/big bs=1M count=200 conv=fsync';
      const writer = await rig.run(`docker run --name big --storage-opt size=256M busybox ${fill}`);
      expect(writer).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/No space left on device|Input\/output error/),
      });
      expect(await rig.ok('dmsetup status --target thin-pool')).toContain(' out_of_data_space ');
      const refused = await rig.run('docker create busybox true');
      expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('is out of data space') });
      expect(await rig.ok('docker exec web echo runs on && docker rm big')).toBe('runs on\nbig');
      expect(await rig.ok(`docker run --rm busybox sh -c 'echo well > /file && sync && cat /file'`)).toBe('well');
      expect(await devices()).toEqual({ pools: 1, thin: 1 });
    });

    it('finds containers, files and devices again when the engine is killed', async () => {
      await rig.ok(`docker exec web sh -c 'echo mine > /mine'`);
      const before = await rig.ok(`docker inspect -f '{{.State.Pid}}' web`);
      await rig.ok('kill -KILL $(systemctl show docker -p MainPID --value)');
      await rig.until('docker ps', 'the engine');
      expect(await rig.ok(`docker inspect -f '{{.State.Pid}}' web`)).toBe(before);
      expect(await rig.ok('docker exec web cat /mine && docker diff web')).toBe('mine\nA /mine');
      expect(await rig.ok('docker commit web kept >/dev/null && docker run --rm kept cat /mine')).toBe('mine');
      expect(await devices()).toEqual({ pools: 1, thin: 1 });
    });

    it('restarts it with what it has, and takes everything away in the end', async () => {
      await rig.ok('docker restart -t 0 web');
      expect(await rig.ok('docker exec web cat /mine && docker kill web')).toBe('mine\nweb');
      await configure({ 'exec-opts': ['native.cgroupdriver=cgroupfs'] });
      const id = await rig.ok(`docker start web >/dev/null && docker inspect -f '{{.Id}}' web`);
      const group = `cut -d: -f3 /proc/$(docker inspect -f '{{.State.Pid}}' web)/cgroup`;
      expect(await rig.ok(`docker info -f '{{.CgroupDriver}}'; ${group}`)).toBe(`cgroupfs\n/docker/${id}`);
      await rig.ok('docker rm -f web && docker rmi kept busybox');
      expect(await devices()).toEqual({ pools: 1, thin: 0 });
      await rig.ok('systemctl stop docker.socket docker.service');
      expect(await rig.ok('ls /sys/fs/cgroup/docker.slice 2>/dev/null || true')).not.toContain('.scope');
    });
  },
);
