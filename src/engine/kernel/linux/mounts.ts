/** mount(2), the new mount API for long overlay data, and /proc/self/mountinfo. */
import { constants, lstatSync, openSync, readSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Mount } from '../../oci/mount.ts';
import type { Fd, MountCalls } from '../kernel.ts';
import { KernelError } from '../kernel.ts';
import type { Pointer } from './libc.ts';
import { AT_FDCWD, check, closeQuietly, errnoError, lastErrno, libc, readProc, viaNode, withFd } from './libc.ts';
import { mountMapped } from './mapped-mounts.ts';
import type { MountOptions } from './mount-options.ts';
import {
  bindRemountFlags,
  mountAttributes,
  MS_BIND,
  MS_REC,
  MS_REMOUNT,
  parseMountOptions,
  splitOverlayLayers,
  superblockWords,
} from './mount-options.ts';
import { withShortLayers } from './overlay-paths.ts';

type Done = (failure: Error | null, result: number) => void;

const mountCall = libc.bind<{
  (source: string, target: string, type: string | null, flags: number, data: string | null): number;
  async(source: string, target: string, type: string, flags: number, data: string | null, done: Done): void;
}>('int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)');
const umount2 = libc.bind<{
  (target: string, flags: number): number;
  async(target: string, flags: number, done: Done): void;
}>('int umount2(const char *target, int flags)');
const statvfs = libc.bind<(path: string, out: Pointer) => number>('int statvfs(const char *path, void *out)');
const syncfs = libc.bind<{ async(fd: number, done: Done): void }>('int syncfs(int fd)');

/** mount(2) copies one page, its last byte being the NUL. Pages of 4 KiB are the smallest there are. */
const MAX_DATA_BYTES = 4095;
const MNT_DETACH = 2;
const EINVAL = 22;

/** The kernel's mounts. */
export function createMountCalls(): MountCalls {
  return {
    mount: mountPlain,

    mountMapped(mount: Mount, target: string, userns: Fd): void {
      mountMapped(mount, target, userns, mountPlain);
    },

    unmount(target: string, options?: { readonly lazy?: boolean }): void {
      check(umount2(target, options?.lazy === true ? MNT_DETACH : 0), 'umount', target);
    },

    listBelow(prefix: string): readonly string[] {
      if (isMissing(prefix)) return [];
      // The kernel lists them where they are, whatever links lead there: /var/run is /run.
      const place = placeOf(prefix);
      const found = mountPointsBelow(readProc('/proc/self/mountinfo'), place);
      return place === prefix ? found : found.map((path) => prefix + path.slice(place.length));
    },

    async syncFilesystem(path: string): Promise<void> {
      const fd = viaNode('open', path, () => openSync(path, constants.O_RDONLY));
      try {
        await inThread('syncfs', path, (done) => syncfs.async(fd, done));
      } finally {
        closeQuietly(fd);
      }
    },

    async mountInThread({ type, source, options }: Mount, target: string): Promise<void> {
      const { flags, data: words } = parseMountOptions(options);
      const data = words.length === 0 ? null : words.join(',');
      await inThread('mount', target, (done) => mountCall.async(source, target, type, flags, data, done));
    },

    async unmountInThread(target: string, options?: { readonly lazy?: boolean }): Promise<void> {
      const flags = options?.lazy === true ? MNT_DETACH : 0;
      await inThread('umount', target, (done) => umount2.async(target, flags, done));
    },
  };
}

/** Makes a call that may wait for a disk in a thread of the pool. */
async function inThread(call: string, path: string, begin: (done: Done) => void): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  begin((failure, result) => {
    // errno is the call's own within its callback.
    const errno = lastErrno();
    if (failure !== null) reject(failure);
    else if (result === 0) resolve();
    else reject(errnoError(call, errno, path));
  });
  await promise;
}

function mountPlain(mount: Mount, target: string): void {
  const options = parseMountOptions(mount.options);
  const isBind = mount.type === 'bind' || (options.flags & MS_BIND) !== 0;
  if (isBind && !(options.flags & MS_REMOUNT)) {
    bindMount(mount.source, target, options);
  } else {
    newMount(mount, target, options);
  }
  undoOnFailure(target, () => {
    for (const change of options.propagation) check(mountCall('none', target, null, change, null), 'mount', target);
  });
}

/** Nothing is mounted where nothing is; a server that does not answer is another matter. */
function isMissing(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) === undefined;
  } catch {
    return false;
  }
}

function placeOf(path: string): string {
  try {
    return join(realpathSync.native(dirname(path)), basename(path));
  } catch {
    return path;
  }
}

/**
 * The mount points at or below `prefix` in the text of a mountinfo file, deepest first; of two at the same depth the
 * later mount first, so that unmounting in this order always takes the topmost.
 */
export function mountPointsBelow(mountinfo: string, prefix: string): readonly string[] {
  const directory = prefix.endsWith('/') ? prefix : `${prefix}/`;
  // Of thousands of lines few are meant; the kernel spells some characters otherwise.
  const name = basename(prefix);
  const hint = /[\s\\]/.test(name) ? '' : name;
  if (!mountinfo.includes(hint)) return [];
  return mountinfo
    .split('\n')
    .filter((line) => line.includes(hint))
    .map((line) => line.split(' ', 5)[4])
    .filter((field) => field !== undefined)
    .map((field) => field.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8))))
    .filter((path) => path === prefix || path.startsWith(directory))
    .reverse()
    .map((path) => ({ path, depth: path === '/' ? 0 : path.split('/').length }))
    .sort((a, b) => b.depth - a.depth)
    .map(({ path }) => path);
}

function bindMount(source: string, target: string, options: MountOptions): void {
  const flags = MS_BIND | (options.flags & MS_REC);
  check(mountCall(source, target, null, flags, null), 'mount', target);
  undoOnFailure(target, () => {
    const remount = bindRemountFlags(options, flagsOf(target));
    if (remount !== null) check(mountCall('none', target, null, remount, null), 'mount', target);
  });
}

/** f_flag of struct statvfs: the mount's own flags. */
function flagsOf(path: string): number {
  const out = Buffer.alloc(256);
  check(statvfs(path, out), 'statvfs', path);
  return out.readUInt32LE(72);
}

function undoOnFailure(target: string, job: () => void): void {
  try {
    job();
  } catch (error) {
    umount2(target, MNT_DETACH);
    throw error;
  }
}

function newMount(mount: Mount, target: string, options: MountOptions): void {
  if (fits(options.data) || (options.flags & MS_REMOUNT) !== 0) {
    mountAtOnce(mount, target, options);
    return;
  }
  try {
    mountByContext(mount, target, options);
  } catch (error) {
    if (!(error instanceof LayersNotTaken)) throw error;
    mountWithShortLayers(mount, target, options, error);
  }
}

function fits(data: readonly string[]): boolean {
  return Buffer.byteLength(data.join(',')) <= MAX_DATA_BYTES;
}

function mountAtOnce(mount: Mount, target: string, { flags, data }: MountOptions): void {
  const text = data.length === 0 ? null : data.join(',');
  check(mountCall(mount.source, target, mount.type, flags, text), 'mount', target);
}

/** For kernels before 6.7. What is mounted shows the short paths; the layers are the same. */
function mountWithShortLayers(mount: Mount, target: string, options: MountOptions, reason: LayersNotTaken): void {
  withShortLayers(options.data, (data) => {
    if (!fits(data)) throw reason;
    mountAtOnce(mount, target, { ...options, data });
  });
}

const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
const CLOEXEC = 1;
const MOVE_MOUNT_F_EMPTY_PATH = 4;

/** The new mount API by number, as glibc before 2.36 has no names for it; x86_64 and aarch64 share the numbers. */
const syscalls = {
  fsopen: libc.bind<(n: 430, type: string, flags: number) => number>(
    'long syscall(long n, const char *type, long flags)',
  ),
  fsconfig: libc.bind<
    (n: 431, fd: number, command: number, key: string | null, value: string | null, aux: 0) => number
  >('long syscall(long n, long fd, long command, const char *key, const char *value, long aux)'),
  fsmount: libc.bind<(n: 432, fd: number, flags: number, attributes: number) => number>(
    'long syscall(long n, long fd, long flags, long attributes)',
  ),
  moveMount: libc.bind<(n: 429, fromFd: number, from: string, toFd: number, to: string, flags: number) => number>(
    'long syscall(long n, long fromFd, const char *from, long toFd, const char *to, long flags)',
  ),
};

function mountByContext(mount: Mount, target: string, options: MountOptions): void {
  const settings = mount.type === 'overlay' ? splitOverlayLayers(options.data) : splitWords(options.data);
  withFd(check(syscalls.fsopen(430, mount.type, CLOEXEC), 'fsopen', mount.type), (context) => {
    const set = (command: number, key: string | null, value: string | null): void => {
      if (syscalls.fsconfig(431, context, command, key, value, 0) < 0) throw contextError(context, key, value, target);
    };
    set(FSCONFIG_SET_STRING, 'source', mount.source);
    for (const word of superblockWords(options.flags)) set(FSCONFIG_SET_FLAG, word, null);
    for (const [key, value] of settings) set(value === null ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING, key, value);
    set(FSCONFIG_CMD_CREATE, null, null);
    const attributes = mountAttributes(options.flags);
    const tree = check(syscalls.fsmount(432, context, CLOEXEC, attributes), 'fsmount', target);
    withFd(tree, () => {
      check(syscalls.moveMount(429, tree, '', AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH), 'move_mount', target);
    });
  });
}

function splitWords(words: readonly string[]): readonly (readonly [string, string | null])[] {
  return words.map((word) => {
    const equals = word.indexOf('=');
    return equals === -1 ? [word, null] : [word.slice(0, equals), word.slice(equals + 1)];
  });
}

/** This kernel takes layers of an overlay only all at once. */
class LayersNotTaken extends KernelError {
  constructor(target: string) {
    const detail = 'the mount options are longer than a page, and taking overlay layers one at a time needs Linux 6.7';
    super('fsconfig', 'EINVAL', target, `${detail} (EINVAL)`);
  }
}

/** A failed setting, with what the kernel wrote into the context's log about it. */
function contextError(context: number, key: string | null, value: string | null, target: string): KernelError {
  const errno = lastErrno();
  const log = readLog(context);
  // Kernels that do not know the setting write nothing into the log, or, before 6.5, that a page is full.
  if (key === 'lowerdir+' && errno === EINVAL && (log === '' || log.includes('Legacy')))
    return new LayersNotTaken(target);
  const setting = key === null ? '' : `${key}${value === null ? '' : `=${value}`}`;
  return errnoError('fsconfig', errno, target, [setting, log].filter((part) => part !== '').join(': ') || undefined);
}

function readLog(context: number): string {
  const lines: string[] = [];
  const line = Buffer.alloc(1024);
  try {
    for (;;) {
      const length = readSync(context, line, 0, line.length, null);
      // Each message is `e `, `w ` or `i ` and a text.
      lines.push(line.toString('utf8', 2, length).trim());
    }
  } catch {
    // ENODATA ends the log.
    return lines.join('; ');
  }
}
