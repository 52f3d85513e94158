/**
 * Network namespaces. The namespace of a thread is changed and restored within one synchronous call of the main thread:
 * nothing else can run between, and libuv starts no thread meanwhile (a new thread would inherit the namespace).
 */
import { closeSync, constants, openSync, unlinkSync } from 'node:fs';
import { errnoCodeOf } from '../../../base/errors.ts';
import type { Fd, NamespaceCalls } from '../kernel.ts';
import { KernelError } from '../kernel.ts';
import { asFd, check, lastErrno, libc, errnoError, viaNode, withFd } from './libc.ts';
import { MS_BIND } from './mount-options.ts';

const unshare = libc.bind<(flags: number) => number>('int unshare(int flags)');
const setns = libc.bind<(fd: number, type: number) => number>('int setns(int fd, int type)');
const bindMount = libc.bind<(source: string, target: string, type: null, flags: number, data: null) => number>(
  'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)',
);
const umount2 = libc.bind<(target: string, flags: number) => number>('int umount2(const char *target, int flags)');

const CLONE_NEWNET = 0x40000000;
const MNT_DETACH = 2;
const EINVAL = 22;
const ENOENT = 2;
/** /proc/self is the thread group's leader; a worker thread may be elsewhere. */
const OWN_NETNS = '/proc/thread-self/ns/net';

/** Network namespaces of this kernel. */
export function createNamespaceCalls(): NamespaceCalls {
  return { createNetns, removeNetns, openNetns, within };
}

function createNetns(path: string): void {
  const { O_CREAT, O_EXCL, O_RDONLY } = constants;
  viaNode('open', path, () => closeSync(openSync(path, O_CREAT | O_EXCL | O_RDONLY, 0o444)));
  try {
    restoringNetns(() => {
      check(unshare(CLONE_NEWNET), 'unshare', path);
      check(bindMount(OWN_NETNS, path, null, MS_BIND, null), 'mount', path);
    });
  } catch (error) {
    unlinkSync(path);
    throw error;
  }
}

function removeNetns(path: string): void {
  if (umount2(path, MNT_DETACH) < 0) {
    const errno = lastErrno();
    if (errno === ENOENT) return;
    // EINVAL: nothing is mounted there any more, as after a reboot; the empty file is left to remove.
    if (errno !== EINVAL) throw errnoError('umount', errno, path);
  }
  try {
    unlinkSync(path);
  } catch (error) {
    if (errnoCodeOf(error) !== 'ENOENT')
      viaNode('unlink', path, () => {
        throw error;
      });
  }
}

function openNetns(path: string): Fd {
  return asFd(viaNode('open', path, () => openSync(path, constants.O_RDONLY)));
}

/** Runs `job` inside the namespace behind `netns` and comes back whatever it does. */
export function within<T>(netns: Fd, job: () => T): T {
  return restoringNetns(() => {
    check(setns(netns, CLONE_NEWNET), 'setns');
    const result = job();
    if (result instanceof Promise) {
      result.catch(() => undefined);
      throw new KernelError('setns', 'EINVAL', null, 'a job inside a network namespace must not be asynchronous');
    }
    return result;
  });
}

function restoringNetns<T>(job: () => T): T {
  return withFd(openNetns(OWN_NETNS), (home) => {
    try {
      return job();
    } finally {
      // A daemon whose main thread is stuck in a container's network must not go on: its containers survive its end.
      if (setns(home, CLONE_NEWNET) < 0) process.abort();
    }
  });
}
