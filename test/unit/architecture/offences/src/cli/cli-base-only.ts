import { engine } from '../engine/index.ts';
export const one = engine;
