import type { noun } from '../schedules/noun.ts';
export let one: typeof noun;
