import type { noun } from '../state/noun.ts';
export let one: typeof noun;
