import { InvalidArgumentError } from '../../base/errors.ts';
import type { Quoting } from './scanner.ts';

/**
 * The right side of an assignment, such that systemd, YaST, fillup and a shell all read the value: in the quotes that
 * stood there before where these will do, else double ones, else single ones. A value that no writing brings to all
 * four goes into double quotes with backslashes: systemd and a shell agree on it, and the traps tell of the others.
 * Throws InvalidArgumentError for what no reader takes (NUL, lone surrogates, noncharacters).
 */
export function quoteValue(name: string, value: string, before: Quoting): string {
  if (value.includes('\0')) throw new InvalidArgumentError(`the value of ${name} holds a NUL byte`);
  if (UNENCODABLE.test(value)) {
    throw new InvalidArgumentError(`the value of ${name} holds what is no character of UTF-8 text for systemd`);
  }
  if (before === 'none' && BARE.test(value)) return value;
  const fitsSingle = !/['\n\r]/.test(value);
  if (before === 'single' && fitsSingle && value !== '') return `'${value}'`;
  if (!/["\\$`]/.test(value)) return `"${value}"`;
  if (fitsSingle) return `'${value}'`;
  return `"${value.replace(/["\\$`]/g, String.raw`\$&`)}"`;
}

/** Nothing that any reader looks at twice. */
const BARE = /^[A-Za-z0-9_@%+:,./-]+$/;

/** Lone surrogates, which UTF-8 has no bytes for, and noncharacters, for which systemd refuses the whole file. */
const UNENCODABLE = /[\p{Surrogate}\p{Noncharacter_Code_Point}]/u;
