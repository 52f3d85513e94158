/**
 * Id-mapped mounts (mount_setattr(2), Linux 5.12; below overlay 5.19): what is mounted shows the ids of its disk as those
 * of a user namespace, and what is written through it has the disk's ids again.
 */
import { constants, mkdirSync, openSync, rmdirSync } from 'node:fs';
import type { Mount } from '../../oci/mount.ts';
import type { Fd, MountCalls } from '../kernel.ts';
import type { Pointer } from './libc.ts';
import { AT_FDCWD, check, libc, viaNode, withFd } from './libc.ts';
import { mountAttributes, MS_BIND, MS_REC, parseMountOptions } from './mount-options.ts';
import { commonDirectory, layersIn, rebased } from './overlay-paths.ts';

/** By number, as glibc before 2.36 has no names for them; x86_64 and aarch64 share the numbers. */
const openTree = libc.bind<(n: 428, at: number, path: string, flags: number) => number>(
  'long syscall(long n, long at, const char *path, long flags)',
);
const mountSetattr = libc.bind<
  (n: 442, at: number, path: string, flags: number, attributes: Pointer, size: number) => number
>('long syscall(long n, long at, const char *path, long flags, void *attributes, long size)');
const moveMount = libc.bind<(n: 429, fromFd: number, from: string, toFd: number, to: string, flags: number) => number>(
  'long syscall(long n, long fromFd, const char *from, long toFd, const char *to, long flags)',
);
const mountCall = libc.bind<
  (source: string, target: string, type: string | null, flags: number, data: string | null) => number
>('int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)');
const umount2 = libc.bind<(target: string, flags: number) => number>('int umount2(const char *target, int flags)');

const OPEN_TREE_CLONE = 1;
const OPEN_TREE_CLOEXEC = 0o2000000;
const AT_EMPTY_PATH = 0x1000;
const AT_RECURSIVE = 0x8000;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MOUNT_ATTR_IDMAP = 0x100000;
/** sizeof(struct mount_attr): what is set, what is cleared, propagation, descriptor of the user namespace. */
const ATTRIBUTES_BYTES = 32;
const O_PATH = 0o10000000;
const MNT_DETACH = 2;

/** Mounts `mount` on `target` with the ids of `userns`; `mountPlain` makes the overlay above mapped layers. */
export function mountMapped(mount: Mount, target: string, userns: Fd, mountPlain: MountCalls['mount']): void {
  if (mount.type === 'overlay') {
    mountOverlay(mount, target, userns, mountPlain);
    return;
  }
  const options = parseMountOptions(mount.options);
  if (mount.type !== 'bind' && (options.flags & MS_BIND) === 0) {
    mountDevice(mount, target, userns, mountPlain);
    return;
  }
  attachMapped(mount.source, target, userns, {
    recursive: (options.flags & MS_REC) !== 0,
    attributes: mountAttributes(options.flags),
  });
  try {
    for (const change of options.propagation) check(mountCall('none', target, null, change, null), 'mount', target);
  } catch (error) {
    umount2(target, MNT_DETACH);
    throw error;
  }
}

function attachMapped(
  source: string,
  target: string,
  userns: Fd,
  { recursive, attributes }: { readonly recursive: boolean; readonly attributes: number },
): void {
  const depth = recursive ? AT_RECURSIVE : 0;
  const tree = check(openTree(428, AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | depth), 'open_tree', source);
  withFd(tree, () => {
    const wanted = Buffer.alloc(ATTRIBUTES_BYTES);
    wanted.writeBigUInt64LE(BigInt(MOUNT_ATTR_IDMAP | attributes), 0);
    wanted.writeBigUInt64LE(BigInt(userns), 24);
    check(mountSetattr(442, tree, '', AT_EMPTY_PATH | depth, wanted, ATTRIBUTES_BYTES), 'mount_setattr', source);
    check(moveMount(429, tree, '', AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH), 'move_mount', target);
  });
}

/** A file system of a device is mounted beside, for as long as it takes to clone it mapped. EINVAL where it cannot be. */
function mountDevice(mount: Mount, target: string, userns: Fd, mountPlain: MountCalls['mount']): void {
  onScratch(`${target}.plain`, (scratch) => {
    mountPlain(mount, scratch);
    try {
      const attributes = mountAttributes(parseMountOptions(mount.options).flags);
      attachMapped(scratch, target, userns, { recursive: false, attributes });
    } finally {
      umount2(scratch, MNT_DETACH);
    }
  });
}

/** A directory that is there while `job` runs. */
function onScratch(path: string, job: (path: string) => void): void {
  viaNode('mkdir', path, () => mkdirSync(path, { mode: 0o700 }));
  try {
    job(path);
  } finally {
    viaNode('rmdir', path, () => {
      rmdirSync(path);
    });
  }
}

/**
 * An overlay cannot be mapped, its layers can: the directory that all of them lie in is mounted mapped for as long as
 * mounting takes, and the overlay is given their paths below an open descriptor of it (short, so that as many layers
 * as ever fit into mount(2)'s page). The overlay keeps clones of the mapped mount.
 */
function mountOverlay(mount: Mount, target: string, userns: Fd, mountPlain: MountCalls['mount']): void {
  const common = commonDirectory(mount.options.flatMap(layersIn));
  onScratch(`${target}.layers`, (scratch) => {
    attachMapped(common, scratch, userns, { recursive: false, attributes: 0 });
    try {
      const root = viaNode('open', scratch, () => openSync(scratch, O_PATH | constants.O_DIRECTORY));
      withFd(root, () => {
        const options = mount.options.map((word) => rebased(word, common, `/proc/self/fd/${String(root)}`));
        mountPlain({ ...mount, options }, target);
      });
    } finally {
      umount2(scratch, MNT_DETACH);
    }
  });
}
