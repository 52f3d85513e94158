import type { engine } from '../engine.ts';
export let one: typeof engine;
