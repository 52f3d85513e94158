/** {@link BlockCalls}: loop devices by their ioctls (linux/loop.h), sizes and files from /sys. */
import { closeSync, constants, openSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { errnoCodeOf } from '../../../base/errors.ts';
import type { AttachedLoop, AttachOptions, BlockCalls } from '../block.ts';
import type { BlockDeviceNumber } from '../device-mapper.ts';
import { KernelError } from '../kernel.ts';
import { nodeOfBlockDevice, openControl } from './device-nodes.ts';
import { LinuxFiles } from './files.ts';
import type { IoctlRequest } from './ioctl.ts';
import { ioctl, ioctlOfNumber, ioctlOnThread } from './ioctl.ts';
import { closeQuietly, viaNode, withFd } from './libc.ts';
import { once } from './once.ts';

const CONTROL = '/dev/loop-control';
const CONTROL_NUMBER: BlockDeviceNumber = { major: 10, minor: 237 };
const LOOP_MAJOR = 7;
const SECTOR_BYTES = 512;

const LOOP_CTL_GET_FREE: IoctlRequest = { call: 'LOOP_CTL_GET_FREE', number: 0x4c82 };
const LOOP_CONFIGURE: IoctlRequest = { call: 'LOOP_CONFIGURE', number: 0x4c0a };
const LOOP_SET_FD: IoctlRequest = { call: 'LOOP_SET_FD', number: 0x4c00 };
const LOOP_CLR_FD: IoctlRequest = { call: 'LOOP_CLR_FD', number: 0x4c01 };
const LOOP_SET_STATUS64: IoctlRequest = { call: 'LOOP_SET_STATUS64', number: 0x4c04 };
const LOOP_GET_STATUS64: IoctlRequest = { call: 'LOOP_GET_STATUS64', number: 0x4c05 };
const LOOP_SET_CAPACITY: IoctlRequest = { call: 'LOOP_SET_CAPACITY', number: 0x4c07 };
const LOOP_SET_DIRECT_IO: IoctlRequest = { call: 'LOOP_SET_DIRECT_IO', number: 0x4c08 };
const BLKDISCARD: IoctlRequest = { call: 'BLKDISCARD', number: 0x1277 };

const LO_FLAGS_AUTOCLEAR = 4;
const LO_FLAGS_DIRECT_IO = 16;
/** struct loop_config: descriptor u32 · block size u32 · struct loop_info64 · 64 bytes of zeros. */
const CONFIG_BYTES = 304;
const INFO_AT = 8;
/** struct loop_info64: device u64 · inode u64 · … · 52 flags u32 · 56 file name, 64 bytes · … */
const INFO_BYTES = 232;
const INFO_FLAGS_AT = 52;
const INFO_NAME = { at: 56, bytes: 64 };
/** Another may take the free device between the question and the request. */
const MOST_ATTEMPTS = 32;

const files = new LinuxFiles();

/** Block devices of this kernel. */
export function createBlockCalls(): BlockCalls {
  return { numberOf, split: (device) => files.splitDevice(device), nodeOf, sizeBytes, discard, attach, backing, grow };
}

function numberOf(path: string): BlockDeviceNumber {
  const found = viaNode('stat', path, () => statSync(path));
  if (!found.isBlockDevice()) throw new KernelError('stat', 'ENOTBLK', path, 'block device required');
  return files.splitDevice(found.rdev);
}

function nodeOf(device: BlockDeviceNumber): string {
  return nodeOfBlockDevice(basename(viaNode('readlink', sysfs(device), () => readlinkSync(sysfs(device)))), device);
}

function sizeBytes(device: BlockDeviceNumber): number {
  const path = `${sysfs(device)}/size`;
  return Number(viaNode('read', path, () => readFileSync(path, 'utf8'))) * SECTOR_BYTES;
}

async function discard(path: string): Promise<void> {
  const range = Buffer.alloc(16);
  range.writeBigUInt64LE(BigInt(sizeBytes(numberOf(path))), 8);
  await withDevice(path, async (fd) => ioctlOnThread(fd, BLKDISCARD, range, path));
}

async function grow(path: string): Promise<void> {
  await withDevice(path, async (fd) => ioctlOnThread(fd, LOOP_SET_CAPACITY, null, path));
}

async function withDevice(path: string, job: (fd: number) => Promise<unknown>): Promise<void> {
  const fd = viaNode('open', path, () => openSync(path, constants.O_RDWR));
  try {
    await job(fd);
  } finally {
    closeQuietly(fd);
  }
}

function sysfs({ major, minor }: BlockDeviceNumber): string {
  return `/sys/dev/block/${String(major)}:${String(minor)}`;
}

async function attach(file: string, options: AttachOptions): Promise<AttachedLoop> {
  const backingFd = viaNode('open', file, () => openSync(file, constants.O_RDWR));
  try {
    for (let attempt = 1; ; attempt++) {
      const attached = await attachToFree(backingFd, file, options);
      if (attached !== null) return attached;
      if (attempt === MOST_ATTEMPTS) throw new KernelError('LOOP_CONFIGURE', 'EBUSY', file, 'no loop device is free');
    }
  } finally {
    closeQuietly(backingFd);
  }
}

/** Null when somebody else has just taken the device that was free. */
async function attachToFree(backingFd: number, file: string, options: AttachOptions): Promise<AttachedLoop | null> {
  const number = withFd(
    openControl(CONTROL, () => CONTROL_NUMBER),
    (fd) => ioctl(fd, LOOP_CTL_GET_FREE, null, CONTROL),
  );
  const path = nodeOfBlockDevice(`loop${String(number)}`, { major: LOOP_MAJOR, minor: number });
  const fd = viaNode('open', path, () => openSync(path, constants.O_RDWR));
  try {
    await configure(fd, backingFd, file, options);
  } catch (error) {
    closeQuietly(fd);
    if (errnoCodeOf(error) === 'EBUSY') return null;
    throw error;
  }
  return { path, number: { major: LOOP_MAJOR, minor: number }, [Symbol.dispose]: once(() => closeSync(fd)) };
}

/** In one step where the kernel knows it (5.8), so that no half of it is left when we are killed. */
async function configure(fd: number, backingFd: number, file: string, { directIo }: AttachOptions): Promise<void> {
  const config = Buffer.alloc(CONFIG_BYTES);
  config.writeUInt32LE(backingFd, 0);
  config.writeUInt32LE(LO_FLAGS_AUTOCLEAR | (directIo ? LO_FLAGS_DIRECT_IO : 0), INFO_AT + INFO_FLAGS_AT);
  Buffer.from(file).copy(config, INFO_AT + INFO_NAME.at, 0, INFO_NAME.bytes - 1);
  try {
    await ioctlOnThread(fd, LOOP_CONFIGURE, config, file);
  } catch (error) {
    if (!['EINVAL', 'ENOTTY', 'ENOSYS'].includes(errnoCodeOf(error) ?? '')) throw error;
    await configureInSteps(fd, backingFd, file, config.subarray(INFO_AT, INFO_AT + INFO_BYTES));
    if (directIo) askForDirectIo(fd);
  }
}

async function configureInSteps(fd: number, backingFd: number, file: string, info: Buffer): Promise<void> {
  ioctlOfNumber(fd, LOOP_SET_FD, backingFd, file);
  try {
    info.writeUInt32LE(LO_FLAGS_AUTOCLEAR, INFO_FLAGS_AT);
    await ioctlOnThread(fd, LOOP_SET_STATUS64, info, file);
  } catch (error) {
    ioctlOfNumber(fd, LOOP_CLR_FD, 0, file);
    throw error;
  }
}

/** A file system that cannot do it (tmpfs) says so: then the page cache stays between. */
function askForDirectIo(fd: number): void {
  try {
    ioctlOfNumber(fd, LOOP_SET_DIRECT_IO, 1);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
  }
}

function backing(device: BlockDeviceNumber): { readonly device: bigint; readonly inode: bigint } | null {
  if (device.major !== LOOP_MAJOR) return null;
  const path = nodeOfBlockDevice(`loop${String(device.minor)}`, device);
  const info = Buffer.alloc(INFO_BYTES);
  try {
    withFd(
      viaNode('open', path, () => openSync(path, constants.O_RDONLY)),
      (fd) => ioctl(fd, LOOP_GET_STATUS64, info, path),
    );
  } catch (error) {
    if (errnoCodeOf(error) === 'ENXIO') return null;
    throw error;
  }
  return { device: info.readBigUInt64LE(0), inode: info.readBigUInt64LE(8) };
}
