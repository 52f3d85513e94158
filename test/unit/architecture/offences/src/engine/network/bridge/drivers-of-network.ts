import { other } from '../host/driver.ts';
export const one = other;
