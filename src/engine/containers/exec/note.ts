import type { ExecSpec } from '../types.ts';

/** What the next daemon must know of an exec to show it, for the monitor to keep. */
export function noteOf(spec: ExecSpec): string {
  return JSON.stringify(spec);
}

/** Null when it is none of {@link noteOf}'s. */
export function specOfNote(note: string): ExecSpec | null {
  try {
    const spec = JSON.parse(note) as ExecSpec;
    return Array.isArray(spec.command) && typeof spec.terminal === 'boolean' ? spec : null;
  } catch {
    return null;
  }
}
