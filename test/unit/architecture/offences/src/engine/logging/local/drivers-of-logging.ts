import { other } from '../json-file/driver.ts';
export const one = other;
