import { kernel } from '../kernel/kernel.ts';
export const storage = kernel;
