/**
 * posix_spawn(3): the child borrows our memory until it has executed its program (CLONE_VFORK), so that starting one
 * costs 0.1 ms however large this process is; fork would copy its page tables (26 ms at 450 MB).
 */
import { closeSync, readdirSync } from 'node:fs';
import type { SpawnOptions } from '../kernel.ts';
import type { Pointer } from './libc.ts';
import { check, errnoError, libc } from './libc.ts';

const fns = {
  spawn: libc.bind<
    (
      pid: Pointer,
      path: string,
      actions: Pointer,
      attributes: Pointer,
      argv: readonly (string | null)[],
      env: readonly (string | null)[],
    ) => number
  >(
    'int posix_spawn(void *pid, const char *path, void *actions, void *attributes, const char **argv, const char **env)',
  ),
  actionsInit: libc.bind<(actions: Pointer) => number>('int posix_spawn_file_actions_init(void *actions)'),
  actionsDestroy: libc.bind<(actions: Pointer) => number>('int posix_spawn_file_actions_destroy(void *actions)'),
  addDup2: libc.bind<(actions: Pointer, fd: number, newFd: number) => number>(
    'int posix_spawn_file_actions_adddup2(void *actions, int fd, int newFd)',
  ),
  addClose: libc.bind<(actions: Pointer, fd: number) => number>(
    'int posix_spawn_file_actions_addclose(void *actions, int fd)',
  ),
  addOpen: libc.bind<(actions: Pointer, fd: number, path: string, flags: number, mode: number) => number>(
    'int posix_spawn_file_actions_addopen(void *actions, int fd, const char *path, int flags, uint32_t mode)',
  ),
  addChdir: libc.bind<(actions: Pointer, path: string) => number>(
    'int posix_spawn_file_actions_addchdir_np(void *actions, const char *path)',
  ),
  // glibc 2.34
  addCloseFrom: libc.bindOptional<(actions: Pointer, fd: number) => number>(
    'int posix_spawn_file_actions_addclosefrom_np(void *actions, int fd)',
  ),
  attrInit: libc.bind<(attributes: Pointer) => number>('int posix_spawnattr_init(void *attributes)'),
  attrDestroy: libc.bind<(attributes: Pointer) => number>('int posix_spawnattr_destroy(void *attributes)'),
  attrSetFlags: libc.bind<(attributes: Pointer, flags: number) => number>(
    'int posix_spawnattr_setflags(void *attributes, short flags)',
  ),
  attrSetSigDefault: libc.bind<(attributes: Pointer, set: Pointer) => number>(
    'int posix_spawnattr_setsigdefault(void *attributes, void *set)',
  ),
  attrSetSigMask: libc.bind<(attributes: Pointer, set: Pointer) => number>(
    'int posix_spawnattr_setsigmask(void *attributes, void *set)',
  ),
  sigFillSet: libc.bind<(set: Pointer) => number>('int sigfillset(void *set)'),
  fcntl: libc.bind<(fd: number, command: number, argument: number) => number>(
    'int fcntl(int fd, int command, long argument)',
  ),
};

const SETSIGDEF = 0x04;
const SETSIGMASK = 0x08;
const SETSID = 0x80;
const O_RDWR = 2;
const F_DUPFD_CLOEXEC = 1030;
/** Larger than glibc's posix_spawnattr_t (336) and posix_spawn_file_actions_t (80). */
const OPAQUE_BYTES = 512;
const SIGSET_BYTES = 128;

/** Starts a program and returns its pid. The child has default signal handlers, no blocked signals, no other fds. */
export function spawnProcess(options: SpawnOptions): number {
  const actions = Buffer.alloc(OPAQUE_BYTES);
  const attributes = Buffer.alloc(OPAQUE_BYTES);
  const lifted: number[] = [];
  const [program] = options.argv;
  demand(fns.actionsInit(actions), program);
  demand(fns.attrInit(attributes), program);
  try {
    arrangeFds(actions, options, lifted);
    if (options.cwd !== undefined) demand(fns.addChdir(actions, options.cwd), program);
    arrangeSignals(attributes, options.newSession === true);
    const pid = Buffer.alloc(4);
    const env = Object.entries(options.env).map(([key, value]) => `${key}=${value}`);
    demand(fns.spawn(pid, program, actions, attributes, [...options.argv, null], [...env, null]), program);
    return pid.readInt32LE(0);
  } finally {
    fns.actionsDestroy(actions);
    fns.attrDestroy(attributes);
    for (const fd of lifted) closeSync(fd);
  }
}

/** These functions return the error number itself. */
function demand(errno: number, path: string): void {
  if (errno !== 0) throw errnoError('posix_spawn', errno, path);
}

function arrangeSignals(attributes: Buffer, newSession: boolean): void {
  const all = Buffer.alloc(SIGSET_BYTES);
  fns.sigFillSet(all);
  // Node ignores SIGPIPE, and an ignored signal would stay ignored across exec.
  fns.attrSetSigDefault(attributes, all);
  fns.attrSetSigMask(attributes, Buffer.alloc(SIGSET_BYTES));
  fns.attrSetFlags(attributes, SETSIGDEF | SETSIGMASK | (newSession ? SETSID : 0));
}

/** Puts each fd on its number, /dev/null on what is left of 0–2, and closes all else. */
function arrangeFds(actions: Buffer, options: SpawnOptions, lifted: number[]): void {
  const [program] = options.argv;
  const wanted = new Map((options.fds ?? []).map(([ours, theirs]) => [theirs, ours as number]));
  const highest = Math.max(2, ...wanted.keys());
  for (const [target, fd] of wanted) {
    // A source below the highest target could be overwritten before its turn: use a copy above them all.
    const source = fd > highest ? fd : check(fns.fcntl(fd, F_DUPFD_CLOEXEC, highest + 1), 'fcntl', program);
    if (source !== fd) lifted.push(source);
    demand(fns.addDup2(actions, source, target), program);
  }
  for (let target = 0; target <= highest; target++) {
    if (wanted.has(target)) continue;
    if (target <= 2) demand(fns.addOpen(actions, target, '/dev/null', O_RDWR, 0), program);
    else demand(fns.addClose(actions, target), program);
  }
  if (fns.addCloseFrom !== null) {
    demand(fns.addCloseFrom(actions, highest + 1), program);
    return;
  }
  for (const fd of readdirSync('/proc/self/fd').map(Number)) {
    if (fd > highest) demand(fns.addClose(actions, fd), program);
  }
}
