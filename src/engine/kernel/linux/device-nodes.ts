/** Nodes of devices below /dev: the kernel makes them where /dev is its own (devtmpfs); elsewhere we do. */
import { constants, mkdirSync, openSync, statSync, unlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import { errnoCodeOf } from '../../../base/errors.ts';
import type { BlockDeviceNumber } from '../device-mapper.ts';
import { LinuxFiles } from './files.ts';
import { viaNode } from './libc.ts';

interface Node extends BlockDeviceNumber {
  readonly type: 'block' | 'character';
}

const files = new LinuxFiles();
const MODE = 0o600;

/** The path of a block device that the kernel calls `name`; a node of other numbers that lies there gives way. */
export function nodeOfBlockDevice(name: string, { major, minor }: BlockDeviceNumber): string {
  const path = `/dev/${name}`;
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isBlockDevice() === true && found.rdev === Number(files.device(major, minor))) return path;
  if (found !== undefined) unlinkSync(path);
  makeNode(path, { type: 'block', major, minor });
  return path;
}

/** Opens a node of a character device, which loads its module; where nobody made it, it is made. */
export function openControl(path: string, numberOf: () => BlockDeviceNumber): number {
  const open = (): number => viaNode('open', path, () => openSync(path, constants.O_RDWR));
  try {
    return open();
  } catch (error) {
    if (errnoCodeOf(error) !== 'ENOENT') throw error;
  }
  const directory = dirname(path);
  viaNode('mkdir', directory, () => mkdirSync(directory, { recursive: true, mode: 0o755 }));
  makeNode(path, { type: 'character', ...numberOf() });
  return open();
}

/** Nothing when somebody else was first. */
function makeNode(path: string, { type, major, minor }: Node): void {
  const kind = type === 'block' ? constants.S_IFBLK : constants.S_IFCHR;
  try {
    files.mknod(path, kind | MODE, files.device(major, minor));
  } catch (error) {
    if (errnoCodeOf(error) !== 'EEXIST') throw error;
  }
}
