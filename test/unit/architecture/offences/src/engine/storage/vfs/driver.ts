import { storage } from '../driver.ts';
export const vfs = storage;
