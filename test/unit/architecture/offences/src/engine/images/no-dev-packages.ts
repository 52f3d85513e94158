import { test } from 'vitest';
export const one = test;
