import type { noun } from '../content/noun.ts';
export let one: typeof noun;
