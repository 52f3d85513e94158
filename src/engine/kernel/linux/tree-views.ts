/**
 * {@link ViewCalls} by unshare(2), open_tree(2), move_mount(2) and pivot_root(2). For worker threads only: the main thread
 * never leaves its namespaces.
 *
 * ```
 * before   open_tree: the root, our descriptors, every mount, as detached copies   (borrowed ones from inside the process's namespace)
 * then     unshare(CLONE_NEWNS), everything private
 *          tmpfs on the root's place:  /      ← pivot_root, the old root is let go
 *                                      /proc/self/fd  ← our descriptors, and nothing else of procfs: no link leads to a host
 *                                      /root          ← the container's root, then every mount inside it
 * ```
 */
import { closeSync, constants, fstatSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import type { FileCalls } from '../files.ts';
import { KernelError, type Fd } from '../kernel.ts';
import type { TreeView, ViewCalls, ViewMount, ViewPlan, ViewProcess } from '../tree-views.ts';
import type { Pointer } from './libc.ts';
import { asFd, AT_FDCWD, check, closeQuietly, errnoError, lastErrno, libc, viaNode, withFd } from './libc.ts';
import { MS_BIND, MS_RDONLY, MS_REC, MS_REMOUNT } from './mount-options.ts';

// By number: symbols of glibc 2.36 are younger than the systems we run on. The numbers are the same on all machines.
const openTree = libc.bind<(n: 428, dirfd: number, path: string, flags: number) => number>(
  'long syscall(long n, long dirfd, const char *path, unsigned long flags)',
);
const moveMount = libc.bind<
  (n: 429, from: number, fromPath: string, to: number, toPath: string, flags: number) => number
>('long syscall(long n, long from, const char *fromPath, long to, const char *toPath, unsigned long flags)');
const pivotRoot = libc.bind<(n: number, next: string, old: string) => number>(
  'long syscall(long n, const char *next, const char *old)',
);
const unshare = libc.bind<(flags: number) => number>('int unshare(int flags)');
const setns = libc.bind<(fd: number, type: number) => number>('int setns(int fd, int type)');
const chdir = libc.bind<(path: string) => number>('int chdir(const char *path)');
const mountCall = libc.bind<
  (source: string | null, target: string, type: string | null, flags: number, data: string | null) => number
>('int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)');
const umount2 = libc.bind<(target: string, flags: number) => number>('int umount2(const char *target, int flags)');
const statvfs = libc.bind<(path: string, out: Pointer) => number>('int statvfs(const char *path, void *out)');

const SYS_OPEN_TREE = 428;
const SYS_MOVE_MOUNT = 429;
const SYS_PIVOT_ROOT = process.arch === 'arm64' ? 41 : 155;
const CLONE_FS = 0x200;
const CLONE_NEWNS = 0x20000;
const MS_PRIVATE = 1 << 18;
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const MNT_DETACH = 2;
const O_PATH = 0o10000000;
const AT_EMPTY_PATH = 0x1000;
const AT_RECURSIVE = 0x8000;
const OPEN_TREE_CLONE = 1;
const OPEN_TREE_CLOEXEC = 0o2000000;
const MOVE_FROM_AND_TO_EMPTY = 0x04 | 0x40;
/** /proc/self is the thread group's leader; a worker thread may be elsewhere. */
const OWN_MOUNTS = '/proc/thread-self/ns/mnt';
/** By these, all work in a view is done. */
const DESCRIPTORS = '/proc/self/fd';
const OPEN_DIRECTORY = O_PATH | constants.O_DIRECTORY;
/** Of the tmpfs that holds nothing but two directories. */
const SKELETON_OPTIONS = 'size=64k,nr_inodes=16,mode=0700';

/** A mount that belongs to nobody yet. */
interface Loose {
  readonly mount: ViewMount;
  readonly tree: Fd;
}

/** Views for the thread that makes them. */
export class LinuxTreeViews implements ViewCalls {
  readonly #files: Pick<FileCalls, 'openBeneath'>;
  #ownsRoot = false;

  constructor(files: Pick<FileCalls, 'openBeneath'>) {
    this.#files = files;
  }

  enter(plan: ViewPlan, prepare: Parameters<ViewCalls['enter']>[1] = () => undefined): TreeView {
    if (isMainThread) throw new KernelError('unshare', 'EPERM', null, 'the main thread must keep its namespaces');
    if (!this.#ownsRoot) check(unshare(CLONE_FS), 'unshare');
    this.#ownsRoot = true;
    using open = new DisposableStack();
    const hold = (fd: number): Fd => open.adopt(asFd(fd), closeQuietly);
    const home = hold(viaNode('open', OWN_MOUNTS, () => openSync(OWN_MOUNTS, constants.O_RDONLY)));
    const root = hold(cloneOf(AT_FDCWD, plan.root, 0));
    const descriptors = hold(cloneOf(AT_FDCWD, DESCRIPTORS, 0));
    const loose = this.#loosen(plan, home, hold);
    check(unshare(CLONE_NEWNS), 'unshare');
    try {
      moveIn(plan.root, root, descriptors);
      restrict('/root', { readOnly: false });
      const held = viaNode('open', '/root', () => openSync('/root', OPEN_DIRECTORY));
      open.adopt(held, closeQuietly);
      for (const each of loose) this.#attach(asFd(held), each, prepare);
      const kept = viaNode('open', '/root', () => openSync('/root', OPEN_DIRECTORY));
      const home2 = openSync(`/proc/self/fd/${String(home)}`, constants.O_RDONLY);
      return { root: asFd(kept), [Symbol.dispose]: () => leave(home2, kept) };
    } catch (error) {
      returnTo(home);
      throw error;
    }
  }

  /** Takes detached copies of all mounts, where they are now. */
  #loosen(plan: ViewPlan, home: Fd, hold: (fd: number) => Fd): readonly Loose[] {
    const borrowed = plan.process === null ? new Map<ViewMount, Fd>() : this.#borrow(plan, plan.process, home, hold);
    return plan.mounts.flatMap((mount) => {
      if (mount.from.kind === 'source') {
        const flags = mount.from.recursive ? AT_RECURSIVE : 0;
        return [{ mount, tree: hold(cloneOf(AT_FDCWD, mount.from.path, flags)) }];
      }
      const tree = borrowed.get(mount);
      return tree === undefined ? [] : [{ mount, tree }];
    });
  }

  #borrow(
    { mounts }: ViewPlan,
    { pid, cgroupMark }: ViewProcess,
    home: Fd,
    hold: (fd: number) => Fd,
  ): ReadonlyMap<ViewMount, Fd> {
    const wanted = mounts.filter(({ from }) => from.kind === 'process');
    const found = new Map<ViewMount, Fd>();
    if (wanted.length === 0) return found;
    // All by one descriptor of the process: another one with its number has another.
    const path = `/proc/${String(pid)}`;
    const self = hold(viaGone(path, () => openSync(path, OPEN_DIRECTORY)));
    const place = `/proc/self/fd/${String(self)}`;
    if (!viaGone(path, () => readFileSync(`${place}/cgroup`, 'utf8')).includes(cgroupMark)) throw goneProcess(path);
    const root = hold(viaGone(path, () => openSync(`${place}/root`, OPEN_DIRECTORY)));
    const namespace = hold(viaGone(path, () => openSync(`${place}/ns/mnt`, constants.O_RDONLY)));
    const points = mountPoints(viaGone(path, () => readFileSync(`${place}/mountinfo`, 'utf8')));
    const places = wanted.flatMap((mount) => {
      const fd = this.#mountRoot(root, mount.destination, points);
      return fd === null ? [] : [{ mount, fd: hold(fd) }];
    });
    check(setns(namespace, CLONE_NEWNS), 'setns', path);
    try {
      for (const { mount, fd } of places) found.set(mount, hold(cloneOf(fd, '', AT_EMPTY_PATH | AT_RECURSIVE)));
    } finally {
      returnTo(home);
    }
    return found;
  }

  /** The root of the mount at `destination`; null when something else is there by now. */
  #mountRoot(root: Fd, destination: string, points: ReadonlyMap<string, string>): Fd | null {
    let fd: Fd;
    try {
      fd = this.#files.openBeneath(root, destination, O_PATH);
    } catch {
      return null;
    }
    const info = readFileSync(`/proc/thread-self/fdinfo/${String(fd)}`, 'utf8');
    if (points.get(/^mnt_id:\s*(\d+)$/m.exec(info)?.[1] ?? '') === destination) return fd;
    closeQuietly(fd);
    return null;
  }

  #attach(root: Fd, { mount, tree }: Loose, prepare: NonNullable<Parameters<ViewCalls['enter']>[1]>): void {
    const { destination, from } = mount;
    if (from.kind === 'source') prepare(root, mount, fstatSync(tree).isDirectory());
    let target: Fd;
    try {
      target = this.#files.openBeneath(root, destination, O_PATH);
    } catch {
      // It has gone meanwhile, or lies in what another mount hides: then nothing is there to be seen.
      return;
    }
    withFd(target, () => {
      if (moveMount(SYS_MOVE_MOUNT, tree, '', target, '', MOVE_FROM_AND_TO_EMPTY) < 0) {
        const errno = lastErrno();
        // A file where a directory is to be mounted, or the other way round.
        if (errno !== ENOTDIR) throw errnoError('move_mount', errno, destination);
        return;
      }
      restrict(`/proc/self/fd/${String(tree)}`, { readOnly: from.kind === 'source' && from.readOnly });
    });
  }
}

const ENOTDIR = 20;

/** A detached copy of the mount at a path. */
function cloneOf(dirfd: number, path: string, flags: number): number {
  const all = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags;
  return check(openTree(SYS_OPEN_TREE, dirfd, path, all), 'open_tree', path === '' ? null : path);
}

/** Makes the fresh namespace one of nothing but the root and our descriptors. */
function moveIn(stage: string, root: Fd, descriptors: Fd): void {
  check(mountCall(null, '/', null, MS_REC | MS_PRIVATE, null), 'mount', '/');
  check(mountCall('view', stage, 'tmpfs', MS_NOSUID | MS_NODEV | MS_NOEXEC, SKELETON_OPTIONS), 'mount', stage);
  mkdirSync(`${stage}${DESCRIPTORS}`, { recursive: true });
  mkdirSync(`${stage}/root`);
  for (const [tree, name] of [
    [descriptors, DESCRIPTORS],
    [root, '/root'],
  ] as const) {
    const target = openSync(`${stage}${name}`, OPEN_DIRECTORY);
    withFd(target, () => {
      check(moveMount(SYS_MOVE_MOUNT, tree, '', target, '', MOVE_FROM_AND_TO_EMPTY), 'move_mount', stage);
    });
  }
  check(chdir(stage), 'chdir', stage);
  // The old root ends up on top of the new one, and goes at once (pivot_root(2), "pivot_root(".", ".")").
  check(pivotRoot(SYS_PIVOT_ROOT, '.', '.'), 'pivot_root', stage);
  check(umount2('.', MNT_DETACH), 'umount', '/');
  check(chdir('/'), 'chdir', '/');
}

/**
 * The kernel's own refusal, whatever a link in an archive leads to. No device is opened: a container that puts one in a
 * file's place while that is copied would have us open what it may not (a disk, a watchdog).
 */
function restrict(place: string, { readOnly }: { readonly readOnly: boolean }): void {
  const out = Buffer.alloc(256);
  check(statvfs(place, out), 'statvfs', place);
  const kept = out.readUInt32LE(72) & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC);
  const added = MS_NODEV | (readOnly ? MS_RDONLY : 0);
  check(mountCall(null, place, null, MS_REMOUNT | MS_BIND | kept | added, null), 'mount', place);
}

function leave(home: number, root: number): void {
  closeSync(root);
  returnTo(home);
  closeSync(home);
}

/** A thread that is stuck in a view must not do anything else. */
function returnTo(home: number): void {
  if (setns(home, CLONE_NEWNS) < 0) process.abort();
}

/** Mount points by mount id: `36 35 98:0 /mnt1 /mnt2 rw …`. */
function mountPoints(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split('\n').flatMap((line) => {
      const [id, , , , point] = line.split(' ', 5);
      if (id === undefined || point === undefined) return [];
      return [[id, point.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)))]];
    }),
  );
}

function goneProcess(path: string): KernelError {
  return new KernelError('open', 'ESRCH', path, 'no such process');
}

/** Whatever cannot be read of a process means that it has gone. */
function viaGone<T>(path: string, step: () => T): T {
  try {
    return step();
  } catch {
    throw goneProcess(path);
  }
}
