/** What can be reached of a running container's root from outside, without being led out of it. */
import { closeSync, constants, fstatSync } from 'node:fs';
import { errnoCodeOf } from '../../../base/errors.ts';
import type { Container } from '../container.ts';
import { notRunning } from '../errors.ts';
import type { Room } from '../room.ts';
import { isLive } from '../state.ts';

/** open(2)'s O_PATH, which node:fs does not name; the same number on x86-64 and arm64. */
const O_PATH = 0o10000000;
const ANY_EXECUTE_BIT = 0o111;

/** An O_PATH descriptor of the mounted root; whoever asked closes it. */
export function openRoot(room: Room, ref: string): number {
  const { paths } = running(room, ref);
  return room.files.openBeneath(paths.rootfs, '/', O_PATH | constants.O_DIRECTORY);
}

/** The first of `paths` that is an executable file, links followed inside the root. */
export function findProgram(room: Room, ref: string, paths: readonly string[]): string | null {
  const { paths: own } = running(room, ref);
  return paths.find((path) => isProgram(room, own.rootfs, path)) ?? null;
}

/** The root is mounted only while a process needs it. */
function running(room: Room, ref: string): Container {
  const container = room.registry.resolve(ref);
  if (!isLive(container.state)) throw notRunning(container.id);
  return container;
}

function isProgram(room: Room, root: string, path: string): boolean {
  let fd: number;
  try {
    fd = room.files.openBeneath(root, path, O_PATH);
  } catch (error) {
    if (errnoCodeOf(error) !== null) return false;
    throw error;
  }
  try {
    const info = fstatSync(fd);
    return info.isFile() && (info.mode & ANY_EXECUTE_BIT) !== 0;
  } finally {
    closeSync(fd);
  }
}
