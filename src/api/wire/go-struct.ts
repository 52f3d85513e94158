/**
 * Docker's JSON is what Go's `encoding/json` makes of its structs, and its rules are part of the API: field names match
 * in any case, unknown ones are ignored, `null` leaves a scalar as it was, errors name struct, field and Go type; on the
 * way out the fields stand in the struct's order, missing ones as their zero value unless `omitempty`. A *shape*
 * describes one Go type and does both ways; a table of shapes is therefore the whole description of a document.
 *
 *   const PORT = struct('nat.PortBinding', { HostIp: text, HostPort: text });
 *   decodeAs(PORT, { hostip: '127.0.0.1' })   → { HostIp: '127.0.0.1' }
 *   encodeAs(PORT, { HostIp: '127.0.0.1' })   → { HostIp: '127.0.0.1', HostPort: '' }
 *
 * Why these and not zod: docs/decisions/0051-go-shapes.md.
 */
import { InvalidArgumentError } from '../../base/errors.ts';
import type { JsonValue } from '../../base/json.ts';

/** Where in a document the decoder is; Go's error texts need the innermost struct and the path of field names. */
interface Place {
  readonly structName: string | null;
  readonly path: readonly string[];
}

/** One Go type. `T` is what `decode` gives; a field that was absent is absent there. */
export interface Shape<T> {
  readonly goType: string;
  /** The zero value, as Go prints it. */
  readonly zero: JsonValue;
  /** `null` stays `null` (slices, maps, pointers); for other types it means "not given". */
  readonly isNullable: boolean;
  readonly omitEmpty: boolean;
  /** Empty only when null: what a pointer leads to is printed whatever it is. */
  readonly isPointer?: true;
  readonly decode: (value: JsonValue, place: Place) => T;
  readonly encode: (value: T) => JsonValue;
}

/** What a shape decodes to. */
export type ValueOf<S> = S extends Shape<infer T> ? T : never;

type Fields = Readonly<Record<string, unknown>>;

/** The decoded form of a struct: fields as given, in canonical spelling. */
export type StructOf<F extends Fields> = { readonly [K in keyof F]?: ValueOf<F[K]> };

/** Decodes a whole document; InvalidArgumentError with Go's text. */
export function decodeAs<T>(shape: Shape<T>, value: JsonValue): T {
  return shape.decode(value, { structName: null, path: [] });
}

/** The document as Go would print it. */
export function encodeAs<T>(shape: Shape<T>, value: T): JsonValue {
  return shape.encode(value);
}

export const text: Shape<string> = scalar('string', '', (value) => (typeof value === 'string' ? value : undefined));
export const bool: Shape<boolean> = scalar('bool', false, (value) => (typeof value === 'boolean' ? value : undefined));
export const int: Shape<number> = integer('int', -(2 ** 63), 2 ** 63);
export const int64: Shape<number> = integer('int64', -(2 ** 63), 2 ** 63);
export const uint16: Shape<number> = integer('uint16', 0, 2 ** 16 - 1);
export const uint64: Shape<number> = integer('uint64', 0, 2 ** 64);
export const uint: Shape<number> = integer('uint', 0, 2 ** 64);

/** The same type, left out of the output when it is empty. */
export function omitEmpty<T>(shape: Shape<T>): Shape<T> {
  return { ...shape, omitEmpty: true };
}

/** A named string type (`container.NetworkMode`): the name stands in error texts. */
export function named<T>(goType: string, shape: Shape<T>): Shape<T> {
  const { decode } = shape;
  return { ...shape, goType, decode };
}

export function pointer<T>(shape: Shape<T>): Shape<T | null> {
  return {
    ...shape,
    zero: null,
    isNullable: true,
    isPointer: true,
    decode: (value, place) => (value === null ? null : shape.decode(value, place)),
    encode: (value) => (value === null ? null : shape.encode(value)),
  };
}

export function slice<T>(element: Shape<T>, goType = `[]${element.goType}`): Shape<readonly T[] | null> {
  return {
    goType,
    zero: null,
    isNullable: true,
    omitEmpty: false,
    decode: (value, place) => {
      if (value === null) return null;
      if (!Array.isArray(value)) throw mismatch(value, goType, place);
      return value.map((item: JsonValue) => decodeItem(element, item, place));
    },
    encode: (value) => (value === null ? null : value.map((item) => element.encode(item))),
  };
}

export function map<T>(
  element: Shape<T>,
  goType = `map[string]${element.goType}`,
): Shape<Readonly<Record<string, T>> | null> {
  return {
    goType,
    zero: null,
    isNullable: true,
    omitEmpty: false,
    decode: (value, place) => {
      if (value === null) return null;
      if (!isObject(value)) throw mismatch(value, goType, place);
      return Object.fromEntries(
        Object.entries(value).map(([key, item]) => [key, decodeItem(element, item ?? null, place)]),
      );
    },
    encode: (value) =>
      value === null
        ? null
        : // Go prints maps in the order of their keys.
          Object.fromEntries(
            Object.entries(value)
              .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
              .map(([key, item]) => [key, element.encode(item)]),
          ),
  };
}

/** A struct. `goType` is its qualified name; error texts show the part after the dot. */
export function struct<F extends Fields>(goType: string, fields: F): Shape<StructOf<F>> {
  const shapes = fields as Readonly<Record<string, Shape<unknown>>>;
  const byFoldedName = new Map(Object.keys(shapes).map((name) => [name.toLowerCase(), name]));
  const structName = goType.slice(goType.lastIndexOf('.') + 1);
  const encode = (value: StructOf<F>): JsonValue => encodeFields(shapes, value);
  return {
    goType,
    isNullable: false,
    omitEmpty: false,
    get zero() {
      return encode({});
    },
    encode,
    decode: (value, place) => {
      if (!isObject(value)) throw mismatch(value, goType, place);
      const result: Record<string, unknown> = {};
      for (const [key, item] of Object.entries(value)) {
        const name = Object.hasOwn(shapes, key) ? key : byFoldedName.get(key.toLowerCase());
        const shape = name === undefined ? undefined : shapes[name];
        if (name === undefined || shape === undefined || item === undefined) continue;
        if (item === null && !shape.isNullable) continue;
        result[name] = shape.decode(item, { structName, path: [...place.path, name] });
      }
      return result as StructOf<F>;
    },
  };
}

/** A set written as a map to empty structs (`{"80/tcp":{}}`). */
export function keySet(goType: string): Shape<Readonly<Record<string, StructOf<Record<string, never>>>> | null> {
  return map(struct('struct {}', {}), goType);
}

/** Docker's `strslice.StrSlice`: a string or an array of strings. */
export const stringOrSlice: Shape<readonly string[] | null> = {
  goType: 'strslice.StrSlice',
  zero: null,
  isNullable: true,
  omitEmpty: false,
  decode: (value, place) => {
    if (value === null) return null;
    if (typeof value === 'string') return [value];
    if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
    throw mismatch(value, 'string', place);
  },
  encode: (value) => value,
};

function scalar<T extends JsonValue>(goType: string, zero: T, check: (value: JsonValue) => T | undefined): Shape<T> {
  return {
    goType,
    zero,
    isNullable: false,
    omitEmpty: false,
    decode: (value, place) => {
      const checked = check(value);
      if (checked === undefined) throw mismatch(value, goType, place);
      return checked;
    },
    encode: (value) => value,
  };
}

function integer(goType: string, minimum: number, maximum: number): Shape<number> {
  return {
    goType,
    zero: 0,
    isNullable: false,
    omitEmpty: false,
    decode: (value, place) => {
      if (typeof value !== 'number') throw mismatch(value, goType, place);
      if (!Number.isInteger(value) || value < minimum || value > maximum) {
        throw new InvalidArgumentError(cannotUnmarshal(`number ${String(value)}`, goType, place));
      }
      return value;
    },
    // Above 2^53 a double prints digits that no int64 has (9223372036854776000 for the common "no limit").
    encode: (value) => (Number.isSafeInteger(value) ? value : exactInteger(value)),
  };
}

const MAX_INT64 = 2n ** 63n - 1n;

function exactInteger(value: number): JsonValue {
  const exact = BigInt(value);
  return rawJson(String(exact > MAX_INT64 ? MAX_INT64 : exact));
}

/** Text that JSON.stringify prints as it is (ECMAScript's JSON.rawJSON, in Node since 22; TypeScript has no type yet). */
function rawJson(source: string): JsonValue {
  return (JSON as unknown as { rawJSON(source: string): JsonValue }).rawJSON(source);
}

/** An element that is null is Go's zero value of its type. */
function decodeItem<T>(shape: Shape<T>, item: JsonValue, place: Place): T {
  return item === null && !shape.isNullable ? shape.decode(shape.zero, place) : shape.decode(item, place);
}

function encodeFields(
  shapes: Readonly<Record<string, Shape<unknown>>>,
  value: Readonly<Record<string, unknown>>,
): JsonValue {
  const result: Record<string, JsonValue> = {};
  for (const [name, shape] of Object.entries(shapes)) {
    const given = value[name];
    const encoded = given === undefined ? shape.zero : shape.encode(given);
    if (shape.omitEmpty && (shape.isPointer === true ? encoded === null : isEmpty(encoded))) continue;
    result[name] = encoded;
  }
  return result;
}

/** Go's `omitempty`: false, 0, null, and empty strings, slices and maps. */
function isEmpty(value: JsonValue): boolean {
  if (value === null || value === '' || value === 0 || value === false) return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

function isObject(value: JsonValue): value is Readonly<Record<string, JsonValue | undefined>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function mismatch(value: JsonValue, goType: string, place: Place): InvalidArgumentError {
  return new InvalidArgumentError(cannotUnmarshal(kindOf(value), goType, place));
}

function cannotUnmarshal(kind: string, goType: string, { structName, path }: Place): string {
  const where =
    structName === null
      ? `Go value of type ${goType}`
      : `Go struct field ${structName}.${path.join('.')} of type ${goType}`;
  return `invalid JSON: json: cannot unmarshal ${kind} into ${where}`;
}

function kindOf(value: JsonValue): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value === 'boolean' ? 'bool' : typeof value;
}
