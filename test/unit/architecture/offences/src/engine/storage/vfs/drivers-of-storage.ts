import { other } from '../overlay2/driver.ts';
export const one = other;
