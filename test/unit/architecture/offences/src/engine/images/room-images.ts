import type { noun } from '../containers/noun.ts';
export let one: typeof noun;
