import { other } from '../iptables/driver.ts';
export const one = other;
