/** `.dockerignore` and its kin: which patterns a context has. The rules are moby's `ignorefile`. */
import { InvalidArgumentError } from '../../../base/errors.ts';
import { cleanPath, PathPatterns, trimmed } from '../../dockerfile/patterns.ts';

export const IGNORE_FILE = '.dockerignore';
/** Go's scanner takes no longer line. */
const MOST_LINE_BYTES = 64 * 1024;

/** The patterns of an ignore file's text. InvalidArgumentError in Docker's words for one that is none. */
export function parseIgnoreFile(text: string): readonly string[] {
  const patterns = text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .flatMap((line) => {
      if (line.length >= MOST_LINE_BYTES) throw unreadable('bufio.Scanner: token too long');
      return patternOf(line.replace(/\r$/, '')) ?? [];
    });
  try {
    new PathPatterns(patterns);
  } catch (error) {
    throw error instanceof InvalidArgumentError ? unreadable(error.message) : error;
  }
  return patterns;
}

/** Null for a line that says nothing. */
function patternOf(line: string): string | null {
  if (line.startsWith('#')) return null;
  const words = trimmed(line);
  if (words === '') return null;
  const isException = words.startsWith('!');
  const pattern = isException ? trimmed(words.slice(1)) : words;
  if (pattern === '') return '!';
  const clean = cleanPath(pattern);
  const relative = clean.length > 1 && clean.startsWith('/') ? clean.slice(1) : clean;
  return isException ? `!${relative}` : relative;
}

function unreadable(reason: string): InvalidArgumentError {
  return new InvalidArgumentError(`error reading ${IGNORE_FILE}: ${reason}`);
}
