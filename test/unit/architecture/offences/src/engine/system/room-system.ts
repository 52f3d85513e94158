import type { noun } from '../metrics/noun.ts';
export let one: typeof noun;
