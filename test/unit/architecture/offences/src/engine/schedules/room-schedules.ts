import type { noun } from '../build/noun.ts';
export let one: typeof noun;
