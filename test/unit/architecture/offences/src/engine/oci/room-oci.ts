import type { noun } from '../kernel/noun.ts';
export let one: typeof noun;
