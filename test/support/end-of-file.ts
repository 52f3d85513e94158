/** Of every test file: hooks of set-up files run last, after the file's own. */
import { afterAll } from 'vitest';
import { endWhatIsAlive } from './left-alive.ts';

const LIMIT_MS = 60_000;

afterAll(endWhatIsAlive, LIMIT_MS);
