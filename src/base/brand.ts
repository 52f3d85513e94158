declare const brand: unique symbol;

/** A string (or number) that carries in its type what it names, so that ids of different nouns cannot be swapped. */
export type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };
