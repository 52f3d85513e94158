/**
 * Storage as an administrator meets it, in an emulated machine: a thin pool of somebody else's, a power cut, a move to
 * another storage driver, sizes by project quotas, a pool without room for its metadata. One data root goes through nearly
 * all of it, on an ext4 with project quotas.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StoreReport } from '../../src/engine/check/types.ts';
import { VmRig } from '../support/vm-rig.ts';

const obstacle = VmRig.obstacle();
const DISK = '/var/lib/docker/disk';
const ROOT = '/srv/docker';
const LEDGER = `${ROOT}/devicemapper/.pool/ledger`;
const MAKE_DISKS = `set -e
  mkdir -p ${DISK} ${ROOT} && cd ${DISK} && truncate -s 400M data && truncate -s 4M metadata && truncate -s 1G root
  mkfs.ext4 -q -O project,quota -E nodiscard root
`;
/** What the machine's start would do: the engine's disk is mounted, and the pool is there. */
const SET_UP = `set -e
  mount -o loop,prjquota ${DISK}/root ${ROOT}
  data=$(losetup -f --show ${DISK}/data) && metadata=$(losetup -f --show ${DISK}/metadata)
  table="0 $(blockdev --getsz $data) thin-pool $metadata $data 128 512 2 skip_block_zeroing error_if_no_space"
  dmsetup create hand-pool --table "$table"
`;
/** Builds images and runs a container on each, and tells of it. */
const WORK = `n=0; while n=$((n+1)); do
  printf 'FROM busybox\\nRUN echo %s >/made\\n' image-$n | DOCKER_BUILDKIT=0 docker build -q -t made:$n -
  docker run --name c$n made:$n sh -c "echo container-$n >/mine" && echo c$n is made
done`;
/** Prints what both have made. */
const FILES = 'docker cp c1:/made - | tar -xO && docker cp c1:/mine - | tar -xO';
const BASICS = { iptables: false, bridge: 'none', 'data-root': ROOT };
const ON_THE_POOL = {
  ...BASICS,
  'storage-driver': 'devicemapper',
  'storage-opts': ['dm.thinpooldev=/dev/mapper/hand-pool', 'dm.basesize=48M', 'dm.fs=ext4'],
};
const NO_SPACE = expect.stringMatching(/No space left on device|Disk quota exceeded/) as unknown;

describe.skipIf(obstacle !== null)(
  `storage in an emulated machine${obstacle === null ? '' : ` (skipped: ${obstacle})`}`,
  () => {
    let rig: VmRig;

    beforeAll(async () => {
      rig = await VmRig.boot({ installed: true, files: { '/etc/docker/daemon.json': JSON.stringify(ON_THE_POOL) } });
      await rig.ok(`${MAKE_DISKS}${SET_UP}systemctl start docker.socket`);
      await rig.importBusybox();
    });

    afterAll(async () => {
      await rig[Symbol.asyncDispose]();
    });

    const configure = async (settings: object): Promise<void> => {
      const line = 'cat >/etc/docker/daemon.json && systemctl restart docker.service';
      await rig.ok(line, { stdin: JSON.stringify(settings) });
    };
    /** Nothing stays with the driver before. */
    const moveTo = async (driver: string): Promise<void> => {
      await rig.ok('systemctl stop docker.service docker.socket');
      await rig.write('/etc/docker/daemon.json', JSON.stringify(ON_THE_POOL));
      await rig.ok(`moored migrate-storage --to ${driver} --remove-old`);
      await rig.write('/etc/docker/daemon.json', JSON.stringify(BASICS));
      await rig.ok('systemctl start docker.socket');
    };
    const thinDevices = async (): Promise<string> => rig.ok('dmsetup status --target thin');
    const pool = async (): Promise<{ readonly transaction: string; readonly usedBlocks: number }> => {
      const words = (await rig.ok('dmsetup status hand-pool')).split(' ');
      return { transaction: words[3] ?? '', usedBlocks: Number.parseInt(words[5] ?? '', 10) };
    };
    /** Builds images and runs containers, and cuts the power meanwhile, right after the first of both have been told as made. */
    const workUntilPowerFails = async (): Promise<void> => {
      const isMade = Promise.withResolvers<null>();
      const working = rig.run(WORK, { onOutput: (text) => text.includes('c1 is made') && isMade.resolve(null) });
      const end = Promise.allSettled([working]);
      await Promise.race([isMade.promise, working]);
      await rig.loseAndRegainPower();
      expect((await end).map(({ status }) => status)).toEqual(['rejected']);
    };

    it('lies on a thin pool of the administrator’s, which outlives it', async () => {
      const info = await rig.ok('docker info');
      expect(info).toMatch(/Storage Driver: devicemapper\n +Pool Name: hand-pool\n +Pool Blocksize: 65\.54kB\n/);
      expect(info).not.toContain('loop file');
      const { usedBlocks } = await pool();
      const change = `sh -c 'echo mine > /mine; exec sleep 1000'`;
      await rig.ok(`docker run -d --name web --stop-signal KILL busybox ${change} && docker commit web kept`);
      await rig.ok('systemctl stop docker.service docker.socket');
      expect(await rig.ok('dmsetup info -c --noheadings -o name,open')).toBe('hand-pool:0');
      await rig.ok('systemctl start docker.socket');
      expect(await rig.ok('docker cp web:/mine - | tar -xO && docker diff web')).toBe('mine\nA /mine');
      expect((await pool()).usedBlocks).toBeGreaterThan(usedBlocks);
      await rig.ok('docker rm web && docker rmi kept');
      expect(await thinDevices()).toBe('');
      expect((await pool()).usedBlocks).toBe(usedBlocks);
    });

    it('has after a power cut the images that were told as made, and nothing half made', async () => {
      await workUntilPowerFails();
      await rig.ok(`${SET_UP}systemctl start docker.socket`);
      const listed = (await rig.ok(`docker images made --format '{{.Tag}}'`)).split('\n');
      expect(listed).toContain('1');
      for (const tag of listed) expect(await rig.ok(`docker run --rm made:${tag} cat /made`)).toBe(`image-${tag}`);
      // What had no row yet when the power failed belongs to nobody.
      const { findings } = JSON.parse(await rig.ok('moored check --repair --json')) as StoreReport;
      expect(findings.filter(({ kind, outcome }) => kind !== 'leftover' || outcome !== 'repaired')).toEqual([]);
      const [ours] = (await rig.ok(`grep -ao '"transactionId":"[0-9]*"' ${LEDGER} | sort -V -r`)).split('\n');
      expect(ours).toBe(`"transactionId":"${(await pool()).transaction}"`);
      expect(await thinDevices()).toBe('');
    });

    it('moves to overlay2 with images, files and sizes', async () => {
      const fillAndTidyUp = `sh -c 'cat /made; ${fill(60)}; code=$?; rm /big; exit $code'`;
      await rig.ok('docker rm -f c1; docker run --name c1 made:1 sh -c "echo container-1 >/mine"');
      await rig.ok(`docker create --name bound --storage-opt size=56M made:1 ${fillAndTidyUp}`);
      const { usedBlocks } = await pool();
      await moveTo('overlay2');
      expect((await pool()).usedBlocks).toBeLessThan(usedBlocks);
      expect(await rig.ok(`docker info -f '{{.Driver}}' && ${FILES}`)).toBe('overlay2\nimage-1\ncontainer-1');
      const start = await rig.run('docker start -a bound');
      expect(start).toMatchObject({ code: 1, stdout: 'image-1\n', stderr: NO_SPACE });
      const bounded = await rig.run(`docker run --rm --storage-opt size=16M busybox ${fill(20)}`);
      expect(bounded).toMatchObject({ code: 1, stderr: NO_SPACE });
    });

    it('answers with errors when its pool has no room for metadata, and works on with more', async () => {
      await configure(smallPool('112K'));
      await rig.importBusybox();
      await rig.ok('docker run -d --name web --stop-signal KILL busybox top');
      const writer = await rig.run(`docker run --name big --storage-opt size=256M busybox ${fill(140)}`);
      expect(writer).toMatchObject({ code: 1, stderr: expect.stringContaining('error') });
      expect(await rig.ok('dmsetup status --target thin-pool')).toMatch(/ ro .* needs_check /);
      for (const line of ['docker create busybox true', 'docker rm big']) {
        expect(await rig.run(line)).toMatchObject({
          stderr: expect.stringContaining('is read-only and needs to be checked'),
        });
      }
      expect(await rig.ok('docker exec web echo runs on')).toBe('runs on');
      await configure(smallPool('4M'));
      const tidyUp = `docker rm web big >&2; docker info | grep -o 'Metadata Space Total: .*'`;
      expect(await rig.ok(tidyUp)).toBe('Metadata Space Total: 4.194MB');
      expect(await rig.ok(`docker run --rm busybox sh -c 'echo well > /file && sync && cat /file'`)).toBe('well');
      expect(await rig.ok('dmsetup status --target thin-pool')).toMatch(/ rw .* - /);
    });
  },
);

function fill(mebibytes: number): string {
  return `dd if=/dev/zero of=/big bs=1M count=${String(mebibytes)} conv=fsync status=none`;
}

function smallPool(metadata: string): object {
  const options = ['dm.loopdatasize=200M', `dm.loopmetadatasize=${metadata}`, 'dm.basesize=48M', 'dm.fs=ext4'];
  return { ...BASICS, 'data-root': '/var/lib/docker/small', 'storage-driver': 'devicemapper', 'storage-opts': options };
}
