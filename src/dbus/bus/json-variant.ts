import type { JsonObject, JsonValue } from '../../base/json.ts';
import { variant, type Variant } from './exported.ts';

/** A JSON object as `a{sv}`; what is null or not there has no type and is left out. */
export function dictionaryOfJson(object: JsonObject): Readonly<Record<string, Variant>> {
  return Object.fromEntries(
    Object.entries(object).flatMap(([key, value]) =>
      value === null || value === undefined ? [] : [[key, variantOfJson(value)] as const],
    ),
  );
}

/** Texts s, truth b, whole numbers x, others d, objects a{sv}, lists of texts as, other lists av. */
function variantOfJson(value: Exclude<JsonValue, null | undefined>): Variant {
  switch (typeof value) {
    case 'string':
      return variant('s', value);
    case 'boolean':
      return variant('b', value);
    case 'number':
      return Number.isSafeInteger(value) ? variant('x', value) : variant('d', value);
    default:
      if (!isList(value)) return variant('a{sv}', dictionaryOfJson(value));
      if (value.every((each) => typeof each === 'string')) return variant('as', value);
      return variant(
        'av',
        value.flatMap((each) => (each === null ? [] : [variantOfJson(each)])),
      );
  }
}

function isList(value: JsonObject | readonly JsonValue[]): value is readonly JsonValue[] {
  return Array.isArray(value);
}
