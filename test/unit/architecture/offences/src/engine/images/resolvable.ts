import { gone } from './gone.ts';
export const one = gone;
