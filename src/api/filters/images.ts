import type { Engine, ImageView } from '../../engine/index.ts';
import type { Filters } from './filters.ts';

/** `filters` of `GET /images/json`. */
export const IMAGE_FILTERS: readonly string[] = [
  'before',
  'dangling',
  'label',
  'label!',
  'reference',
  'since',
  'until',
];

/** The images that all filters let through, newest first. `references` are asked for beside those of the filters. */
export async function selectImages(
  { images }: Pick<Engine, 'images'>,
  filters: Filters,
  { all, references }: { readonly all: boolean; readonly references: readonly string[] },
): Promise<readonly ImageView[]> {
  return images.list({
    all,
    references: [...filters.get('reference'), ...references],
    dangling: filters.boolean('dangling'),
    labels: filters.get('label'),
    withoutLabels: filters.get('label!'),
    before: filters.get('before'),
    since: filters.get('since'),
    until: filters.get('until'),
  });
}
