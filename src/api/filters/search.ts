import { InvalidArgumentError } from '../../base/errors.ts';
import type { SearchResult } from '../../engine/index.ts';
import type { Filters } from './filters.ts';

/** What dockerd knows to filter search results by. */
export const SEARCH_FILTERS: readonly string[] = ['is-automated', 'is-official', 'stars'];

/** Lets through what meets all filters. InvalidArgumentError at once when one cannot be met by anything. */
export function selectResults(filters: Filters): (found: readonly SearchResult[]) => readonly SearchResult[] {
  const isOfficial = filters.boolean('is-official');
  const isAutomated = filters.boolean('is-automated');
  const stars = Math.max(0, ...filters.get('stars').map(starsOf));
  return (found) =>
    found.filter(
      (result) =>
        result.starCount >= stars &&
        (isOfficial === null || result.isOfficial === isOfficial) &&
        (isAutomated === null || result.isAutomated === isAutomated),
    );
}

function starsOf(text: string): number {
  if (/^[+-]?\d+$/.test(text)) return Number(text);
  throw new InvalidArgumentError(
    `invalid filter 'stars=${text}': strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`,
  );
}
