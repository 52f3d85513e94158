import { vfs } from '../engine/storage/vfs/driver.ts';
export const one = vfs;
