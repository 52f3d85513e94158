import type { Config, Layer } from '../../config/config.ts';
import type { ConfigChange } from '../../config/diff.ts';
import { OPTIONS, type OptionDefinition } from '../../config/options.ts';
import { shownSettings } from '../../config/show.ts';
import type { Sysconfig, SysconfigVariable } from '../../config/sysconfig.ts';
import { FLAG_VARIABLES } from '../../config/variables.ts';
import type { ConfigKey, EffectiveOption } from '../../dbus/config-port.ts';
import { optionNamed, signatureOf, sysconfigType, variableText } from './option-values.ts';

/** Every variable of the file, in its order, then those that the daemon knows and the file lacks. */
export function keysOf(
  file: string,
  { variables }: Pick<Sysconfig, 'variables'>,
  pending: readonly ConfigChange[],
): readonly ConfigKey[] {
  const known = [...FLAG_VARIABLES, ...OPTIONS.flatMap(({ variable }) => variable ?? [])];
  const names = new Set([...variables.keys(), ...known]);
  return [...names].map((name) => keyOf(file, name, variables.get(name), pending));
}

function keyOf(
  file: string,
  name: string,
  variable: SysconfigVariable | undefined,
  pending: readonly ConfigChange[],
): ConfigKey {
  const option = OPTIONS.find((one) => one.variable === name);
  const metadata = variable?.metadata;
  return {
    key: name,
    value: variable?.value ?? '',
    default: metadata?.default ?? defaultOf(option),
    type: variable === undefined && option !== undefined ? sysconfigType(option) : (metadata?.type ?? 'string'),
    description:
      metadata === undefined ? (option?.help ?? '') : metadata.help === '' ? metadata.description : metadata.help,
    path: metadata?.path ?? '',
    serviceRestart: metadata?.actions.serviceRestart ?? [],
    serviceReload: metadata?.actions.serviceReload ?? [],
    file,
    line: variable?.line ?? 0,
    isSet: (variable?.value ?? '') !== '',
    pendingRestart: pending.some(({ flag, origin }) => origin.variable === name || flag === option?.flag),
  };
}

function defaultOf(option: OptionDefinition | undefined): string {
  return option === undefined ? '' : variableText(option.fallback);
}

/** What the files give now, passwords masked, and where it comes from. */
export function effectiveOptions(config: Config): readonly EffectiveOption[] {
  return shownSettings(config).map(({ key, value, origin }) => ({
    name: key,
    type: signatureOf(optionNamed(key)),
    value,
    origin: ORIGINS[origin.layer],
  }));
}

const ORIGINS: Readonly<Record<Layer, EffectiveOption['origin']>> = {
  default: 'default',
  environment: 'environment',
  variable: 'sysconfig',
  file: 'daemon.json',
  fragment: 'daemon.json',
  sysconfig: 'sysconfig',
  'command-line': 'command-line',
};
