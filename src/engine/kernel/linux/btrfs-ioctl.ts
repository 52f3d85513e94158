/** ioctl(2) on Btrfs: requests, and directories to make them on. All wait on a thread: for the disk, or for each other. */
import { constants, openSync } from 'node:fs';
import { ioctlOnThread, type IoctlRequest } from './ioctl.ts';
import { closeQuietly, viaNode } from './libc.ts';

const BTRFS_MAGIC = 0x94;
const WRITE = 1;
const READ = 2;

/** `_IOW` of the kernel's headers. */
export function requestOut(call: string, nr: number, size: number): IoctlRequest {
  return request(call, nr, size, WRITE);
}

/** `_IOR`. */
export function requestIn(call: string, nr: number, size: number): IoctlRequest {
  return request(call, nr, size, READ);
}

/** `_IOWR`. */
export function requestBoth(call: string, nr: number, size: number): IoctlRequest {
  return request(call, nr, size, READ | WRITE);
}

function request(call: string, nr: number, size: number, direction: number): IoctlRequest {
  return { call, number: direction * 2 ** 30 + size * 2 ** 16 + BTRFS_MAGIC * 2 ** 8 + nr };
}

/** Makes a request; throws the error that errno tells, about `path`. */
export async function call(fd: number, wanted: IoctlRequest, argument: Buffer, path: string): Promise<void> {
  await ioctlOnThread(fd, wanted, argument, path);
}

/** Runs `job` with an open directory. */
export async function withDirectory<T>(path: string, job: (fd: number) => Promise<T>): Promise<T> {
  const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
  const fd = viaNode('open', path, () => openSync(path, flags));
  try {
    return await job(fd);
  } finally {
    closeQuietly(fd);
  }
}
