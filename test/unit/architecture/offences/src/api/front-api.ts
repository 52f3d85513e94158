import { containers } from '../engine/containers/verbs.ts';
export const one = containers;
