import { InvalidArgumentError } from '../../base/errors.ts';
import type { Engine, ImageFilter, ImageView } from '../../engine/index.ts';
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
  const filter = imageFilterOf(filters, all);
  const found = await images.list({ ...filter, references: [...filter.references, ...references] });
  if (!filters.has('label!')) return found;
  return found.filter(({ config }) => filters.matchLabels(config.config?.Labels ?? {}));
}

/** Docker's filters in the engine's words. */
function imageFilterOf(filters: Filters, all: boolean): ImageFilter {
  if (filters.has('until')) {
    throw new InvalidArgumentError("filter 'until' is not supported by this version of moored");
  }
  return {
    all,
    references: filters.get('reference'),
    dangling: filters.boolean('dangling'),
    labels: filters.get('label'),
    before: filters.get('before')[0] ?? null,
    since: filters.get('since')[0] ?? null,
  };
}
