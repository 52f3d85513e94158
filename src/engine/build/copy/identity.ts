/** What a copy is called: by the cache, which asks whether it was made already, and by an image's history. */
import { createHash } from 'node:crypto';
import type { FoundSource, PlaceRequest, TextSource } from '../../storage/building.ts';

type Source = FoundSource | TextSource;

/** Of all that the layer will have come from; the same on every machine. */
export function digestOfCopy(words: Omit<PlaceRequest, 'parent' | 'blobPath' | 'signal'>): string {
  const { sources, destination, isIndependent, owner, keepsOwners, mode, latestTime } = words;
  const each = sources.map((source) => [source.kind, source.name, contentOf(source), includesOf(source)]);
  return `sha256:${sha256(JSON.stringify([destination, isIndependent, owner, keepsOwners, mode, latestTime, each]))}`;
}

/** As dockerd writes them into history: `file:…`, `dir:…`, or `multi:…` of them all. */
export function labelOf(sources: readonly Source[]): string {
  const labels = sources.map((source) => `${source.kind === 'directory' ? 'dir' : 'file'}:${contentOf(source)}`);
  const [only] = labels;
  return labels.length === 1 && only !== undefined ? only : `multi:${sha256(labels.join(','))}`;
}

function contentOf(source: Source): string {
  return source.kind === 'text' ? sha256(source.content) : source.digest;
}

function includesOf(source: Source): readonly string[] | null {
  return source.kind === 'text' ? null : source.includes;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
