import { randomInt } from 'node:crypto';
import { invalidName } from '../errors.ts';
import { ADJECTIVES, SURNAMES } from './name-words.ts';

const NAME = /^\/?[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;
/** Draws before a number is put behind a name: by then most names are in use. */
const PLAIN_DRAWS = 6;

/** The name without its slash. InvalidArgumentError when it is not one. */
export function parseName(text: string): string {
  if (!NAME.test(text)) throw invalidName(text);
  return text.startsWith('/') ? text.slice(1) : text;
}

/** A name nobody has, such as `patient_noether`. */
export function inventName(isTaken: (name: string) => boolean): string {
  for (let draw = 0; ; draw++) {
    const name = `${pick(ADJECTIVES)}_${pick(SURNAMES)}${draw < PLAIN_DRAWS ? '' : String(randomInt(10 ** (draw - 4)))}`;
    if (!isTaken(name)) return name;
  }
}

function pick(words: readonly string[]): string {
  return words[randomInt(words.length)] ?? 'plain';
}
