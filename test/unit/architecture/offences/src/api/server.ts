import { engine } from '../engine/index.ts';
export const server = engine;
