import { containers } from './containers/verbs.ts';
export const engine = containers;
