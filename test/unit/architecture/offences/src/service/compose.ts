import { server } from '../api/server.ts';
import { vfs } from '../engine/storage/vfs/driver.ts';
import { syscalls } from '../engine/kernel/linux/syscalls.ts';
export const compose = [server, vfs, syscalls];
