/** `a{sv}` arguments: each method knows its keys and their signatures; nothing else is taken. */
import { InvalidArgumentError } from '../../base/errors.ts';
import type { Variant } from './exported.ts';
import { asType, NOT_OF_TYPE } from './untyped.ts';

/** An `a{sv}` as the codec gives it. */
export type Dictionary = Readonly<Record<string, Variant>>;

/** What a value of a signature is in JavaScript. */
interface Values {
  readonly b: boolean;
  readonly y: number;
  readonly i: number;
  readonly u: number;
  readonly t: bigint;
  readonly x: bigint;
  readonly s: string;
  readonly as: readonly string[];
  readonly 'a{ss}': Readonly<Record<string, string>>;
  readonly 'a{sv}': Dictionary;
  readonly 'aa{sv}': readonly Dictionary[];
  readonly 'a(ssb)': readonly (readonly [string, string, boolean])[];
  readonly 'a(sss)': readonly (readonly [string, string, string])[];
  readonly 'a(sxx)': readonly (readonly [string, bigint, bigint])[];
  readonly 'a(sqqs)': readonly (readonly [string, number, number, string])[];
}

/** Keys of a dictionary with their signatures. */
export type Keys = Readonly<Record<string, keyof Values>>;

/** The values that were given. */
export type Given<K extends Keys> = { readonly [Name in keyof K]?: Values[K[Name]] };

/**
 * InvalidArgumentError names a key that is not known, and the signature that a key's value lacks. A value of another type
 * that can only mean one thing is taken: see untyped.ts.
 */
export function decodeDictionary<K extends Keys>(keys: K, dictionary: Dictionary): Given<K> {
  const values = Object.entries(dictionary).map(([name, given]) => {
    const wanted = Object.hasOwn(keys, name) ? keys[name] : undefined;
    if (wanted === undefined) throw new InvalidArgumentError(`unknown key ${JSON.stringify(name)}`);
    const value = asType(wanted, given);
    if (value === NOT_OF_TYPE) {
      throw new InvalidArgumentError(
        `key ${JSON.stringify(name)} must be of type '${wanted}', not '${given.signature}'`,
      );
    }
    return [name, value] as const;
  });
  return Object.fromEntries(values) as Given<K>;
}

/** A 64-bit number as JavaScript's. InvalidArgumentError where that could not hold it. */
export function integerOf(name: string, value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) {
    throw new InvalidArgumentError(`key ${JSON.stringify(name)}: ${String(value)} is out of range`);
  }
  return number;
}
