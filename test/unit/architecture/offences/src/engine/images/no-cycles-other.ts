import type { one } from './no-cycles.ts';
export let other: typeof one;
