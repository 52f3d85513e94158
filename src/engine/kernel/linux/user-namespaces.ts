/**
 * User namespaces. A process with several threads cannot enter a new one, so a child is born into it. It shares our
 * memory (CLONE_VM: no page tables are copied, 0.1 ms however large we are), has a stack of its own, and runs nothing but
 * pause(3) with every signal blocked until it is killed within the same synchronous call; files keep what it leaves.
 */
import { closeSync, constants, openSync, readlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { errnoCodeOf } from '../../../base/errors.ts';
import { idMapText, type IdMapping } from '../../oci/id-mapping.ts';
import type { Fd, UserNamespaceCalls } from '../kernel.ts';
import { KernelError } from '../kernel.ts';
import type { Library, Pointer } from './libc.ts';
import { asFd, check, closeQuietly, lastErrno, libc, loadLibrary, viaNode } from './libc.ts';
import { MS_BIND } from './mount-options.ts';
import { makePipe, readAll } from './pipes.ts';
import { waitForChild } from './processes.ts';
import { spawnProcess } from './spawn.ts';

const clone = libc.bind<(run: bigint, stackTop: bigint, flags: number, argument: null) => number>(
  'int clone(uintptr_t run, uintptr_t stackTop, int flags, void *argument)',
);
const mmap = libc.bind<
  (at: null, length: number, protection: number, flags: number, fd: -1, offset: 0) => number | bigint
>('intptr_t mmap(void *at, size_t length, int protection, int flags, int fd, long offset)');
const sigmask = libc.bind<(how: number, set: Pointer, old: Pointer) => number>(
  'int pthread_sigmask(int how, const void *set, void *old)',
);
const sigfillset = libc.bind<(set: Pointer) => number>('int sigfillset(void *set)');
const kill = libc.bind<(pid: number, signal: number) => number>('int kill(int pid, int signal)');
const waitid = libc.bind<(type: number, id: number, info: Pointer, options: number) => number>(
  'int waitid(int type, uint32_t id, void *info, int options)',
);
const bindMount = libc.bind<(source: string, target: string, type: null, flags: number, data: null) => number>(
  'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)',
);
const umount2 = libc.bind<(target: string, flags: number) => number>('int umount2(const char *target, int flags)');

const CLONE_VM = 0x100;
const CLONE_NEWUSER = 0x10000000;
const CLONE_NEWNET = 0x40000000;
const MNT_DETACH = 2;
const OWN_NETNS = '/proc/self/ns/net';
/** Finds programs by PATH. */
const ENV_PROGRAM = '/usr/bin/env';
const SYSTEM_PATH = '/usr/sbin:/usr/bin:/sbin:/bin';
const STACK_BYTES = 65_536;
const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS = 0x22;
const SIGSET_BYTES = 128;
const SIG_SETMASK = 2;
const SIGKILL = 9;
const P_PID = 1;
const WEXITED = 4;
/** Also children that end without a signal to their parent. */
const WALL = 0x40000000;

/** User namespaces of this kernel. */
export function createUserNamespaceCalls(): UserNamespaceCalls {
  return { open, create, createNetns, remove };
}

function open(mapping: IdMapping): Fd {
  return withChild(CLONE_NEWUSER, mapping, (pid) => {
    const path = `/proc/${String(pid)}/ns/user`;
    return asFd(viaNode('open', path, () => openSync(path, constants.O_RDONLY)));
  });
}

function create(mapping: IdMapping, path: string, netnsPath: string | null): void {
  const flags = CLONE_NEWUSER | (netnsPath === null ? 0 : CLONE_NEWNET);
  withChild(flags, mapping, (pid) => {
    pin(`/proc/${String(pid)}/ns/user`, path);
    if (netnsPath === null) return;
    try {
      pin(`/proc/${String(pid)}/ns/net`, netnsPath);
    } catch (error) {
      remove(path);
      throw error;
    }
  });
}

/**
 * Nobody can be born into a network namespace of an existing user namespace: two programs go there one after the other.
 * The second is there when it has closed its output, and goes when its input ends.
 */
async function createNetns(path: string, userns: string): Promise<void> {
  const [input, output] = [makePipe(), makePipe()];
  let pid: number;
  try {
    pid = spawnProcess({
      argv: [ENV_PROGRAM, 'nsenter', `--user=${userns}`, 'unshare', '--net', 'sh', '-c', 'exec >&-; read -r _'],
      env: { PATH: SYSTEM_PATH },
      fds: [
        [input.read, 0],
        [output.write, 1],
      ],
    });
  } catch (error) {
    for (const fd of [input.write, output.read]) closeQuietly(fd);
    throw error;
  } finally {
    for (const fd of [input.read, output.write]) closeQuietly(fd);
  }
  try {
    await readAll(output.read);
    const place = `/proc/${String(pid)}/ns/net`;
    if (viaNode('readlink', place, () => readlinkSync(place)) === readlinkSync(OWN_NETNS)) {
      throw new KernelError('unshare', 'EPERM', userns, 'no network namespace could be made in the user namespace');
    }
    pin(place, path);
  } finally {
    closeQuietly(input.write);
    await waitForChild(pid);
  }
}

function remove(path: string): void {
  if (umount2(path, MNT_DETACH) < 0) {
    const errno = lastErrno();
    if (errno !== ENOENT && errno !== EINVAL) check(-1, 'umount', path);
  }
  try {
    unlinkSync(path);
  } catch (error) {
    if (errnoCodeOf(error) === 'ENOENT') return;
    viaNode('unlink', path, () => {
      throw error;
    });
  }
}

const ENOENT = 2;
const EINVAL = 22;

/** Keeps a namespace in a file of its own. */
function pin(namespace: string, path: string): void {
  const { O_CREAT, O_EXCL, O_RDONLY } = constants;
  viaNode('open', path, () => closeSync(openSync(path, O_CREAT | O_EXCL | O_RDONLY, 0o444)));
  try {
    check(bindMount(namespace, path, null, MS_BIND, null), 'mount', path);
  } catch (error) {
    unlinkSync(path);
    throw error;
  }
}

/** Runs `job` while a child is in the new namespaces. Nothing of the child is left, whatever happens. */
function withChild<T>(flags: number, mapping: IdMapping, job: (pid: number) => T): T {
  const pid = startChild(flags);
  try {
    writeMap(pid, 'uid_map', idMapText(mapping.uids));
    writeMap(pid, 'gid_map', idMapText(mapping.gids));
    return job(pid);
  } finally {
    kill(pid, SIGKILL);
    waitid(P_PID, pid, null, WEXITED | WALL);
  }
}

function writeMap(pid: number, name: string, text: string): void {
  const path = `/proc/${String(pid)}/${name}`;
  viaNode('write', path, () => writeFileSync(path, text));
}

function startChild(flags: number): number {
  const run = addressOfPause();
  const stackTop = stack() + BigInt(STACK_BYTES);
  const [all, old] = [Buffer.alloc(SIGSET_BYTES), Buffer.alloc(SIGSET_BYTES)];
  sigfillset(all);
  sigmask(SIG_SETMASK, all, old);
  try {
    return check(clone(run, stackTop, CLONE_VM | flags, null), 'clone');
  } finally {
    sigmask(SIG_SETMASK, old, null);
  }
}

let stackAddress: bigint | null = null;

/** One for all children: there is never more than one at a time. */
function stack(): bigint {
  stackAddress ??= mapStack();
  return stackAddress;
}

function mapStack(): bigint {
  const address = BigInt(mmap(null, STACK_BYTES, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0));
  if (address === -1n) check(-1, 'mmap');
  return address;
}

let pauseAddress: bigint | null = null;

function addressOfPause(): bigint {
  pauseAddress ??= lookUpPause();
  return pauseAddress;
}

/** glibc before 2.34 has dlsym in a library of its own. */
function lookUpPause(): bigint {
  type Dlsym = (handle: null, name: string) => number | bigint;
  const prototype = 'uintptr_t dlsym(void *handle, const char *name)';
  const inLibrary = (library: Library | null): Dlsym | null => library?.bindOptional<Dlsym>(prototype) ?? null;
  const dlsym = inLibrary(libc) ?? inLibrary(loadLibrary('libdl.so.2'));
  const address = dlsym === null ? 0n : BigInt(dlsym(null, 'pause'));
  if (address === 0n) throw new KernelError('dlsym', 'ENOENT', 'pause', 'the GNU C library does not tell where it is');
  return address;
}
