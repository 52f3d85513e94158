import type { noun } from '../events/noun.ts';
export let one: typeof noun;
