/** What only the real kernel can show of user namespaces and id-mapped mounts: whose a file is on either side. */
import { execFileSync } from 'node:child_process';
import {
  chownSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createBlockCalls } from '../../src/engine/kernel/linux/block.ts';
import { createLinuxKernel } from '../../src/engine/kernel/linux/index.ts';
import { LoopDisk } from '../support/loop-disk.ts';

const isRoot = process.getuid?.() === 0;
const kernel = createLinuxKernel();
const root = mkdtempSync(join(tmpdir(), 'kernel-ids-'));
const own = [{ containerID: 0, hostID: 200_000, size: 1000 }];
/** The mounter of an overlay needs an id of its own below it. */
const withMounter = [...own, { containerID: 4_294_967_294, hostID: 0, size: 1 }];
let directory = '';
let count = 0;

beforeEach(() => {
  directory = join(root, String(count++));
  mkdirSync(directory);
});
afterEach(() => {
  for (const target of kernel.mounts.listBelow(root)) kernel.mounts.unmount(target, { lazy: true });
});
afterAll(() => rmSync(root, { recursive: true }));

describe.skipIf(!isRoot)(`id mapping${isRoot ? '' : ' (skipped: needs root)'}`, () => {
  it('makes a user namespace with exactly the ids asked for, and no child is left', () => {
    const path = join(directory, 'user');
    const childrenBefore = children();
    kernel.userNamespaces.create({ uids: own, gids: [{ containerID: 5, hostID: 300_000, size: 7 }] }, path, null);
    const inside = (file: string): string =>
      execFileSync('nsenter', [`--user=${path}`, '-S', '0', '-G', '5', 'cat', file], { encoding: 'utf8' });
    expect(inside('/proc/self/uid_map').trim().split(/\s+/)).toEqual(['0', '200000', '1000']);
    expect(inside('/proc/self/gid_map').trim().split(/\s+/)).toEqual(['5', '300000', '7']);
    kernel.userNamespaces.remove(path);
    expect(existsSync(path)).toBe(false);
    expect(children()).toEqual(childrenBefore);
  });

  it('gives the network namespace to the user namespace', () => {
    const [path, netnsPath] = [join(directory, 'user'), join(directory, 'net')];
    kernel.userNamespaces.create({ uids: own, gids: own }, path, netnsPath);
    // sysfs can be mounted only by who owns the network namespace.
    const inside = [`--user=${path}`, `--net=${netnsPath}`, '-S', '0', '-G', '0', 'unshare', '--mount', 'sh', '-c'];
    const target = make('sys');
    const command = `mount -t sysfs sysfs ${target} && ls ${target}/class/net`;
    expect(execFileSync('nsenter', [...inside, command], { encoding: 'utf8' })).toBe('lo\n');
    kernel.userNamespaces.remove(path);
    kernel.namespaces.removeNetns(netnsPath);
  });

  it('refuses ids that overlap and leaves nothing of the attempt', () => {
    const childrenBefore = children();
    const open = (): void => void kernel.userNamespaces.open({ uids: [...own, ...own], gids: own });
    expect(open).toThrow(/uid_map/);
    expect(children()).toEqual(childrenBefore);
  });

  it('shows the ids of a bind mount inside its mapping, and writes the disk in its own', () => {
    const [source, target] = [make('source'), make('target')];
    writeFileSync(join(source, 'file'), '');
    chownSync(join(source, 'file'), 33, 44);
    const userns = kernel.userNamespaces.open({ uids: own, gids: own });
    kernel.mounts.mountMapped({ type: 'bind', source, options: ['bind', 'rprivate', 'nodev'] }, target, userns);
    closeSync(userns);
    expect(ownerOf(join(target, 'file'))).toEqual([200_033, 200_044]);
    chownSync(join(target, 'file'), 200_001, 200_002);
    expect(ownerOf(join(source, 'file'))).toEqual([1, 2]);
    expect(() => writeFileSync(join(target, 'of-the-host'), '')).toThrow('EOVERFLOW');
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).toMatch(new RegExp(`${target} rw,nodev.*idmapped`));
  });

  it('makes a mapped bind mount read-only', () => {
    const [source, target] = [make('source'), make('target')];
    const userns = kernel.userNamespaces.open({ uids: own, gids: own });
    kernel.mounts.mountMapped({ type: 'bind', source, options: ['rbind', 'ro'] }, target, userns);
    closeSync(userns);
    expect(() => mkdirSync(join(target, 'x'))).toThrow('EROFS');
  });

  it('maps the layers below an overlay: copies up, deletes and renames as the host would', () => {
    const [lower, upper, work, merged] = [make('lower'), make('upper'), make('work'), make('merged')];
    writeFileSync(join(lower, 'changed'), 'a');
    writeFileSync(join(lower, 'deleted'), 'b');
    chownSync(join(lower, 'changed'), 33, 33);
    const userns = kernel.userNamespaces.open({ uids: withMounter, gids: withMounter });
    const options = ['index=off', `lowerdir=${lower}`, `upperdir=${upper}`, `workdir=${work}`];
    kernel.mounts.mountMapped({ type: 'overlay', source: 'overlay', options }, merged, userns);
    closeSync(userns);
    expect(ownerOf(join(merged, 'changed'))).toEqual([200_033, 200_033]);
    const inside = join(directory, 'user');
    kernel.userNamespaces.create({ uids: own, gids: own }, inside, null);
    const script = `cd ${merged} && echo c >> changed && rm deleted && echo n > new && chown 7:8 new`;
    execFileSync('nsenter', [`--user=${inside}`, '-S', '0', '-G', '0', 'sh', '-c', script]);
    kernel.userNamespaces.remove(inside);
    expect(readdirSync(upper).sort()).toEqual(['changed', 'deleted', 'new']);
    expect(ownerOf(join(upper, 'changed'))).toEqual([33, 33]);
    expect(ownerOf(join(upper, 'new'))).toEqual([7, 8]);
    expect(lstatSync(join(upper, 'deleted')).isCharacterDevice()).toBe(true);
    expect(existsSync(`${merged}.layers`)).toBe(false);
    expect(kernel.mounts.listBelow(directory)).toEqual([merged]);
  });

  it('maps the file system of a block device, mounted elsewhere or not', async (context) => {
    const obstacle = LoopDisk.obstacle('ext4');
    if (obstacle !== null) return context.skip(obstacle);
    await using disk = await LoopDisk.make('ext4');
    writeFileSync(join(disk.path, 'file'), '');
    await disk.unmount();
    using loop = await createBlockCalls().attach(disk.image, { directIo: false });
    const [plain, target] = [make('plain'), make('target')];
    const mount = { type: 'ext4', source: loop.path, options: ['nodev'] };
    const userns = kernel.userNamespaces.open({ uids: own, gids: own });
    for (const isElsewhere of [false, true]) {
      if (isElsewhere) kernel.mounts.mount(mount, plain);
      kernel.mounts.mountMapped(mount, target, userns);
      expect(ownerOf(join(target, 'file'))).toEqual([200_000, 200_000]);
      expect(existsSync(`${target}.plain`)).toBe(false);
      kernel.mounts.unmount(target);
    }
    closeSync(userns);
    kernel.mounts.unmount(plain);
    expect(kernel.mounts.listBelow(directory)).toEqual([]);
  });

  it('leaves no mount and no directory where the overlay itself is refused', () => {
    const [lower, merged] = [make('lower'), make('merged')];
    const userns = kernel.userNamespaces.open({ uids: withMounter, gids: withMounter });
    const options = [`lowerdir=${lower}`, `upperdir=${directory}/missing`, `workdir=${directory}/missing2`];
    const mount = (): void => kernel.mounts.mountMapped({ type: 'overlay', source: 'x', options }, merged, userns);
    expect(mount).toThrow('ENOENT');
    closeSync(userns);
    expect(kernel.mounts.listBelow(directory)).toEqual([]);
    expect(existsSync(`${merged}.layers`)).toBe(false);
  });
});

function make(name: string): string {
  const path = join(directory, name);
  mkdirSync(path);
  // Whoever is in the user namespace must come through.
  for (const place of [root, directory, path]) execFileSync('chmod', ['755', place]);
  chownSync(path, 0, 0);
  return path;
}

function ownerOf(path: string): readonly [number, number] {
  const { uid, gid } = lstatSync(path);
  return [uid, gid];
}

function children(): string {
  return readFileSync(`/proc/self/task/${String(process.pid)}/children`, 'utf8');
}
