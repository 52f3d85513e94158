import { NO_CODECS, type Codecs } from '../codecs.ts';
import { loadIsal } from './isal.ts';

/** The fast libraries of this host, for the thread that asks. */
export function loadCodecs(): Codecs {
  return loadIsal() ?? NO_CODECS;
}
