/** What builds keep for later ones: rows of `GET /system/df`, and which of it `POST /build/prune` is to take. */
import { formatTimestamp } from '../../base/clock.ts';
import { InvalidArgumentError } from '../../base/errors.ts';
import type { JsonValue } from '../../base/json.ts';
import type { BuildCacheEntry, PruneRequest } from '../../engine/index.ts';
import type { ApiVersion } from '../compat/version.ts';
import type { Context } from '../context.ts';
import { Filters } from '../filters/filters.ts';
import type { Query } from '../query.ts';

/** A row; `Parents` came with 1.42 in place of `Parent`. */
export function cacheRow(entry: BuildCacheEntry, version: ApiVersion): JsonValue {
  const { id, parents, kind, description, inUse, shared, sizeBytes, createdAt, lastUsedAt, uses } = entry;
  const [parent] = parents;
  return {
    ID: id,
    ...(version.before('1.42')
      ? parent === undefined
        ? {}
        : { Parent: parent }
      : parents.length === 0
        ? {}
        : { Parents: parents }),
    Type: kind,
    Description: description,
    InUse: inUse,
    Shared: shared,
    Size: sizeBytes,
    CreatedAt: formatTimestamp(createdAt),
    LastUsedAt: lastUsedAt === null ? null : formatTimestamp(lastUsedAt),
    UsageCount: uses,
  };
}

/** What dockerd knows to filter the cache by. */
const FIELDS = ['id', 'parent', 'type', 'description', 'inuse', 'shared', 'private'] as const;
const FILTERS: readonly string[] = [...FIELDS, 'until', 'unused-for', 'label', 'label!'];

type Wish = Required<Pick<PruneRequest, 'until' | 'labels' | 'withoutLabels' | 'buildCache'>>;

/** The query of `POST /build/prune`; InvalidArgumentError in dockerd's words. */
export function cacheWishOf({ query, version }: Pick<Context, 'query' | 'version'>): Wish {
  const filters = Filters.from(query, FILTERS);
  const isOld = version.before('1.48');
  const given = FIELDS.map((name) => [name, filters.get(name)] as const).filter(([name]) => filters.has(name));
  if (given.some(([, values]) => values.length > 1)) throw tooMany();
  return {
    until: untilOf(filters),
    labels: filters.get('label'),
    withoutLabels: filters.get('label!'),
    buildCache: {
      all: query.boolean('all'),
      keepBytes: (isOld ? null : bytesOf(query, 'reserved-space')) ?? bytesOf(query, 'keep-storage'),
      maxUsedBytes: isOld ? null : bytesOf(query, 'max-used-space'),
      minFreeBytes: isOld ? null : bytesOf(query, 'min-free-space'),
      filters: Object.fromEntries(given),
    },
  };
}

/** `unused-for` is its former name. */
function untilOf(filters: Filters): string | null {
  if (filters.has('until') && filters.has('unused-for')) {
    throw new InvalidArgumentError('conflicting filters: "until" and "unused-for"');
  }
  const [until = null, ...others] = [...filters.get('until'), ...filters.get('unused-for')];
  if (others.length > 0) throw tooMany();
  return until;
}

function tooMany(): InvalidArgumentError {
  return new InvalidArgumentError('filters expect only one value');
}

/** 0 is no limit. */
function bytesOf(query: Query, name: string): number | null {
  const value = query.text(name);
  if (value === '') return null;
  if (!/^[+-]?\d+$/.test(value) || !Number.isSafeInteger(Number(value))) {
    throw new InvalidArgumentError(
      `${name} is in bytes and expects an integer, got ${value}: strconv.Atoi: parsing "${value}": invalid syntax`,
    );
  }
  return Number(value) > 0 ? Number(value) : null;
}
