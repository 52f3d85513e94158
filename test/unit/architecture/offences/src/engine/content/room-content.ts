import type { noun } from '../storage/noun.ts';
export let one: typeof noun;
