/**
 * Values of clients that know no D-Bus types: ruby-dbus (YaST) and shells' helpers guess the type of what they put into a
 * variant (a small number is an `i`, a list an `av`, a hash an `a{sv}`). What can only mean one thing is taken as that.
 */
import type { Variant } from './exported.ts';

/** The integer types with their ranges. */
const INTEGERS: Readonly<Record<string, readonly [bigint, bigint]>> = {
  y: [0n, 0xffn],
  n: [-0x8000n, 0x7fffn],
  q: [0n, 0xffffn],
  i: [-0x8000_0000n, 0x7fff_ffffn],
  u: [0n, 0xffff_ffffn],
  x: [-0x8000_0000_0000_0000n, 0x7fff_ffff_ffff_ffffn],
  t: [0n, 0xffff_ffff_ffff_ffffn],
};

/** What says that a value cannot be of the type. */
export const NOT_OF_TYPE: unique symbol = Symbol('not of the type');

/**
 * The value in the codec's shape for the signature `wanted` (simple types, `a…` of them, `a{s…}` and `a(…)` of simple
 * types), or {@link NOT_OF_TYPE}.
 */
export function asType(wanted: string, { signature, value }: Variant): unknown {
  if (signature === wanted) return value;
  const range = Object.hasOwn(INTEGERS, wanted) ? INTEGERS[wanted] : undefined;
  if (range !== undefined) return Object.hasOwn(INTEGERS, signature) ? asInteger(wanted, range, value) : NOT_OF_TYPE;
  const valueType = /^a\{s(.+)\}$/.exec(wanted)?.[1];
  if (valueType !== undefined) return signature === 'a{sv}' ? asDictionary(valueType, value) : NOT_OF_TYPE;
  if (!wanted.startsWith('a') || !Array.isArray(value)) return NOT_OF_TYPE;
  // The elements of an empty list could have been anything.
  if (value.length === 0) return value;
  return signature === 'av'
    ? whole((value as readonly Variant[]).map((item) => asElement(wanted.slice(1), item)))
    : NOT_OF_TYPE;
}

function asInteger(wanted: string, [least, most]: readonly [bigint, bigint], value: unknown): unknown {
  const integer = BigInt(value as number | bigint);
  if (integer < least || integer > most) return NOT_OF_TYPE;
  return wanted === 'x' || wanted === 't' ? integer : Number(integer);
}

function asDictionary(valueType: string, value: unknown): unknown {
  const entries = Object.entries(value as Readonly<Record<string, Variant>>).map(
    ([name, item]) => [name, asType(valueType, item)] as const,
  );
  return entries.some(([, item]) => item === NOT_OF_TYPE) ? NOT_OF_TYPE : Object.fromEntries(entries);
}

/** A struct is a list of its members to who has no structs. */
function asElement(wanted: string, item: Variant): unknown {
  const members = /^\((\w+)\)$/.exec(wanted)?.[1];
  if (members === undefined || item.signature !== 'av') return asType(wanted, item);
  const values = item.value as readonly Variant[];
  if (values.length !== members.length) return NOT_OF_TYPE;
  return whole(values.map((value, index) => asType(members[index] ?? '', value)));
}

function whole(items: readonly unknown[]): unknown {
  return items.includes(NOT_OF_TYPE) ? NOT_OF_TYPE : items;
}
