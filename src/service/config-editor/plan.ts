import { InvalidArgumentError, messageOf } from '../../base/errors.ts';
import { checkValue } from '../../config/checks.ts';
import type { Config } from '../../config/config.ts';
import { nameOf, type OptionDefinition, type OptionValue } from '../../config/options.ts';
import { formatOrigin } from '../../config/origin.ts';
import { isVariableName } from '../../config/sysconfig.ts';
import { FLAG_VARIABLES, KNOWN_VARIABLES } from '../../config/variables.ts';
import type { ConfigChangeRequest } from '../../dbus/config-port.ts';
import { namedError } from '../../dbus/bus/errors.ts';
import { hasFlag, withFlag } from './flag-text.ts';
import { optionNamed, valueOf, variableText } from './option-values.ts';

/** What the sysconfig file says now, and what comes of it. */
export interface Present {
  readonly values: ReadonlyMap<string, string>;
  /** Null when the files hold no usable configuration. */
  readonly config: Config | null;
}

/**
 * Turns a request into new values of variables (null: unset). A key goes to its variable. `options.NAME` goes where the
 * option is set already as a flag (DOCKER_OPTS, then DOCKER_NETWORK_OPTIONS), else into its typed variable, else into
 * DOCKER_OPTS. What daemon.json or the command line sets is theirs: a change here would be without effect, or a conflict.
 */
export function planChanges(present: Present, changes: ConfigChangeRequest): ReadonlyMap<string, string | null> {
  const plan = new Map<string, string | null>();
  const entries = Object.entries(changes);
  for (const [key, { signature, value }] of entries.filter(([name]) => !isOption(name))) {
    requireKey(present, key);
    if (signature !== 's') throw new InvalidArgumentError(`${key} must be of type 's', not '${signature}'`);
    plan.set(key, value as string);
  }
  for (const [key, given] of entries.filter(([name]) => isOption(name))) {
    const option = optionNamed(key.slice(OPTION_PREFIX.length));
    const value = valueOf(option, given);
    const reason = checkValue(option, value);
    if (reason !== null) throw namedError('InvalidConfig', `${key}: ${reason}`);
    setOption(present, plan, option, value);
  }
  return plan;
}

/** The same for taking settings away. */
export function planRemovals(present: Present, keys: readonly string[]): ReadonlyMap<string, string | null> {
  const plan = new Map<string, string | null>();
  for (const key of keys.filter((name) => !isOption(name))) {
    requireKey(present, key);
    plan.set(key, null);
  }
  for (const key of keys.filter(isOption)) {
    const option = optionNamed(key.slice(OPTION_PREFIX.length));
    refuseElsewhere(present, option);
    for (const variable of FLAG_VARIABLES) {
      const text = valueIn(present, plan, variable);
      if (hasFlag(text, option)) plan.set(variable, edited(variable, text, option, null));
    }
    if (option.variable !== undefined && valueIn(present, plan, option.variable) !== '')
      plan.set(option.variable, null);
  }
  return plan;
}

const OPTION_PREFIX = 'options.';

function isOption(key: string): boolean {
  return key.startsWith(OPTION_PREFIX);
}

function requireKey({ values }: Present, key: string): void {
  if (values.has(key) || (isVariableName(key) && KNOWN_VARIABLES.includes(key))) return;
  throw namedError('NoSuchKey', `no such key: ${key}`);
}

function setOption(
  present: Present,
  plan: Map<string, string | null>,
  option: OptionDefinition,
  value: OptionValue,
): void {
  for (const variable of FLAG_VARIABLES.toReversed()) {
    const text = valueIn(present, plan, variable);
    if (!hasFlag(text, option)) continue;
    plan.set(variable, edited(variable, text, option, value));
    return;
  }
  refuseElsewhere(present, option);
  if (option.variable === undefined) {
    plan.set('DOCKER_OPTS', edited('DOCKER_OPTS', valueIn(present, plan, 'DOCKER_OPTS'), option, value));
  } else {
    plan.set(option.variable, variableText(value));
  }
}

function valueIn({ values }: Present, plan: ReadonlyMap<string, string | null>, variable: string): string {
  return (plan.has(variable) ? plan.get(variable) : values.get(variable)) ?? '';
}

function edited(variable: string, text: string, option: OptionDefinition, value: OptionValue | null): string {
  try {
    return withFlag(text, option, value);
  } catch (error) {
    throw namedError('InvalidConfig', `${variable} cannot be read: ${messageOf(error).split('\n')[0] ?? ''}`);
  }
}

function refuseElsewhere({ config }: Present, option: OptionDefinition): void {
  const origin = config?.settings.find((setting) => setting.option === option)?.origin;
  if (origin === undefined || !['file', 'fragment', 'command-line'].includes(origin.layer)) return;
  throw namedError('InvalidConfig', `${nameOf(option)} is set by ${formatOrigin(origin)}: change it there`);
}
