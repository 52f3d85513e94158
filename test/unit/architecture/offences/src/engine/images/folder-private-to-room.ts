import { vfs } from '../storage/vfs/driver.ts';
export const one = vfs;
