import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ContainerId } from '../../../../../src/base/ids.ts';
import type { MountRequest } from '../../../../../src/engine/containers/spec-types.ts';
import type { RuntimeSpec } from '../../../../../src/engine/oci/runtime-spec.ts';
import { ContainersFixture } from '../../../../support/containers-fixture.ts';

/** The container's root: a plain directory, since the fake kernel mounts nothing on it. */
function rootOf(engine: ContainersFixture, id: ContainerId): string {
  return join(engine.root, 'containers', id, 'rootfs');
}

function configOf(engine: ContainersFixture, id: ContainerId): RuntimeSpec {
  return JSON.parse(readFileSync(join(engine.root, 'bundles', id, 'config.json'), 'utf8')) as RuntimeSpec;
}

function volume(name: string, target: string, noCopy = false): MountRequest {
  return { kind: 'volume', name, target, readOnly: false, noCopy, driver: null, labels: {}, options: {}, mode: '' };
}

const mountOn = (config: RuntimeSpec, destination: string): RuntimeSpec['mounts'][number] | undefined =>
  config.mounts.find((mount) => mount.destination === destination);

describe('a start', () => {
  it.each([
    ['2', 'private', [{ type: 'cgroup' }]],
    ['2', 'host', []],
    ['1', 'private', []],
  ] as const)(
    'gives a privileged container with cgroup v%s, where %s is the default, Docker’s control group namespace',
    async (version, defaultCgroupnsMode, namespaces) => {
      const cgroup = { version, driver: 'cgroupfs', parent: '/docker' } as const;
      await using engine = await ContainersFixture.open({ options: { cgroup, defaultCgroupnsMode } });
      const id = await engine.run({ host: { privileged: true } });
      expect(configOf(engine, id).linux.namespaces.filter(({ type }) => type === 'cgroup')).toEqual(namespaces);
    },
  );

  it('writes hosts, hostname and resolv.conf', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.run({
      hostname: 'box',
      domainname: 'example.org',
      host: { extraHosts: ['db:192.0.2.1', 'gw:host-gateway'], dns: ['192.0.2.2'], dnsSearch: ['example.net'] },
    });
    const { hostsPath, hostnamePath, resolvConfPath } = engine.get(id);
    expect(readFileSync(hostnamePath, 'utf8')).toBe('box\n');
    expect(readFileSync(hostsPath, 'utf8')).toMatch(
      /\n192\.0\.2\.1\tdb\n172\.17\.0\.1\tgw\n172\.17\.0\.2\tbox\.example\.org box\n$/,
    );
    expect(readFileSync(resolvConfPath, 'utf8')).toMatch(/\n\nnameserver 192\.0\.2\.2\nsearch example\.net\n/);
    expect(mountOn(configOf(engine, id), '/etc/hosts')?.source).toBe(hostsPath);
  });

  it('makes what files are mounted on as dockerd does, and the table of mounts; what the image has stays', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create();
    const inside = (name: string): string => join(rootOf(engine, id), 'etc', name);
    mkdirSync(inside(''), { recursive: true });
    writeFileSync(inside('hosts'), 'of the image\n', { mode: 0o644 });
    await engine.room.start(id);
    expect(statSync(inside('resolv.conf'))).toMatchObject({ mode: 0o100755, size: 0 });
    expect(readFileSync(inside('hosts'), 'utf8')).toBe('of the image\n');
    expect(readlinkSync(inside('mtab'))).toBe('/proc/mounts');
  });

  it('makes the working directory, inside the root whatever links say', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create({ workingDirectory: '/link/work/here' });
    const outside = join(engine.root, 'outside');
    mkdirSync(outside);
    mkdirSync(join(rootOf(engine, id), outside), { recursive: true });
    symlinkSync(outside, join(rootOf(engine, id), 'link'));
    await engine.room.start(id);
    expect(readdirSync(outside)).toEqual([]);
    expect(existsSync(join(rootOf(engine, id), outside, 'work', 'here'))).toBe(true);
  });

  it('fills a new volume with what the image has, once, links and modes included', async () => {
    await using engine = await ContainersFixture.open();
    engine.onPrepare = (rootfs) => {
      const inside = join(rootfs, 'data');
      mkdirSync(join(inside, 'dir'), { recursive: true });
      mkdirSync(join(inside, 'bare'));
      writeFileSync(join(inside, 'bare', 'file'), 'x');
      writeFileSync(join(inside, 'dir', 'file'), 'first', { mode: 0o640 });
      symlinkSync('/etc/passwd', join(inside, 'link'));
    };
    const id = await engine.create({ host: { mounts: [volume('data', '/data'), volume('bare', '/data/bare', true)] } });
    expect(engine.kernel.mounted).toEqual([]);
    const { mountPoint } = engine.volumes.get('data');
    expect(readFileSync(join(mountPoint, 'dir', 'file'), 'utf8')).toBe('first');
    expect(statSync(join(mountPoint, 'dir', 'file')).mode & 0o777).toBe(0o640);
    expect(readdirSync(mountPoint).sort()).toEqual(['bare', 'dir', 'link']);
    expect(readdirSync(dirname(mountPoint))).toEqual(['_data']);
    expect(readdirSync(engine.volumes.get('bare').mountPoint)).toEqual([]);
    rmSync(mountPoint, { recursive: true });
    mkdirSync(mountPoint);
    await engine.room.start(id);
    await engine.room.restart(id, { signal: 'KILL', timeoutSeconds: null });
    expect(readdirSync(mountPoint), 'what its user has emptied stays empty').toEqual([]);
  });

  it('that cannot be filled is not made, nor are its volumes', async () => {
    await using engine = await ContainersFixture.open();
    engine.kernel.failOn('mounts.mount', 'EIO');
    await expect(engine.create({ host: { mounts: [volume('data', '/data')] } })).rejects.toThrow(
      /^failed to populate volume: /,
    );
    expect(engine.belongings()).toEqual([]);
    expect(engine.leftovers()).toEqual([]);
  });

  it('mounts outer places before inner ones, and makes missing sources of -v', async () => {
    await using engine = await ContainersFixture.open();
    const source = join(engine.root, 'made', 'for', 'it');
    const bind = (target: string): MountRequest => {
      const plain = { readOnly: false, propagation: null, createSource: true, recursive: true, mode: '' };
      return { kind: 'bind', source, target, ...plain };
    };
    const id = await engine.run({ host: { mounts: [bind('/a/b/c'), bind('/a')], tmpfs: { '/a/b': '' } } });
    expect(existsSync(source)).toBe(true);
    const own = configOf(engine, id).mounts.filter(({ destination }) => destination.startsWith('/a'));
    expect(own.map(({ destination }) => destination)).toEqual(['/a', '/a/b', '/a/b/c']);
  });

  it('shares files and namespaces with the container whose network it joins', async () => {
    await using engine = await ContainersFixture.open();
    const donor = await engine.run({}, 'donor');
    const guest = await engine.run({ host: { network: { kind: 'container', ref: 'donor' } } });
    const config = configOf(engine, guest);
    expect(mountOn(config, '/etc/hosts')?.source).toBe(engine.get(donor).hostsPath);
    const { pid } = engine.monitor.taskOf(donor);
    expect(config.linux.namespaces).toContainEqual({ type: 'network', path: `/proc/${String(pid)}/ns/net` });
    expect([...engine.sandboxes.keys()]).toEqual([donor]);
  });

  it('with an init that the host does not have says so', async () => {
    await using engine = await ContainersFixture.open();
    const id = await engine.create({ host: { init: true } });
    await expect(engine.room.start(id)).rejects.toThrow('exec: "docker-init": executable file not found in $PATH');
    expect(engine.get(id).state).toMatchObject({ status: 'created', exitCode: 127 });
    expect(engine.leftovers()).toEqual([]);
  });
});
