import type { noun } from '../system/noun.ts';
export let one: typeof noun;
