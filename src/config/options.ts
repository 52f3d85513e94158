/**
 * Every option of dockerd, and moored's own, as one table: the flag, its key in daemon.json, its type and default, its
 * typed variable in /etc/sysconfig/docker, whether a reload applies it, and whether it is offered. What is not offered is
 * refused with the reason as soon as it is set to something other than its default; what has no effect is taken with a
 * warning. Nothing is dropped in silence.
 */
import { CONTAINER_OPTIONS } from './options/containers.ts';
import { DAEMON_OPTIONS } from './options/daemon.ts';
import type { OptionDefinition } from './options/definition.ts';
import { GONE_OPTIONS } from './options/gone.ts';
import { IMAGE_OPTIONS } from './options/images.ts';
import { NETWORK_OPTIONS } from './options/network.ts';
import { OWN_OPTIONS } from './options/own.ts';

export type { OptionDefinition, OptionValue } from './options/definition.ts';

const TABLE = [
  ...DAEMON_OPTIONS,
  ...CONTAINER_OPTIONS,
  ...IMAGE_OPTIONS,
  ...NETWORK_OPTIONS,
  ...OWN_OPTIONS,
  ...GONE_OPTIONS,
] as const;

/** The table, by flag. */
export const OPTIONS: readonly OptionDefinition[] = [...TABLE].sort((a, b) => (a.flag < b.flag ? -1 : 1));

type Row = (typeof TABLE)[number];

export type OptionFlag = Row['flag'];

type ValueOfType<Type> = Type extends 'boolean'
  ? boolean
  : Type extends 'integer' | 'bytes'
    ? number
    : Type extends 'string'
      ? string
      : Type extends 'list'
        ? readonly string[]
        : Readonly<Record<string, string>>;

/** The type of an option's value. */
export type ValueOf<Flag extends OptionFlag> = ValueOfType<Extract<Row, { readonly flag: Flag }>['type']>;

/** The key of an option in daemon.json; null for what is only a flag. */
export function keyOf(option: OptionDefinition): string | null {
  return option.key === undefined ? option.flag : option.key;
}

/** Every key of an option in daemon.json. */
export function keysOf(option: OptionDefinition): readonly string[] {
  const key = keyOf(option);
  return key === null ? [] : [key, ...(option.aliases ?? [])];
}

/** How an option is named to people: its key in daemon.json, else its flag. */
export function nameOf(option: OptionDefinition): string {
  return keyOf(option) ?? option.flag;
}

/** The option of this flag, key or short flag. */
export const OPTION_BY_FLAG: ReadonlyMap<string, OptionDefinition> = new Map(
  OPTIONS.map((option) => [option.flag, option]),
);
export const OPTION_BY_SHORT: ReadonlyMap<string, OptionDefinition> = new Map(
  OPTIONS.flatMap((option) => (option.short === undefined ? [] : [[option.short, option]])),
);
export const OPTION_BY_KEY: ReadonlyMap<string, OptionDefinition> = new Map(
  OPTIONS.flatMap((option) => keysOf(option).map((key): [string, OptionDefinition] => [key, option])),
);

/** Keys of daemon.json that dockerd takes and that have no flag; they are without effect here, which a warning says. */
export const KEYS_WITHOUT_EFFECT: ReadonlyMap<string, string> = new Map([
  ['min-api-version', 'has no effect: moored serves every version of the API from 1.24 on'],
  ['deprecated-key-path', 'has no effect: dockerd 20.10 removed it'],
]);

/** Keys whose value is an object of further keys. */
export const KEY_GROUPS: ReadonlySet<string> = new Set(['proxies']);
