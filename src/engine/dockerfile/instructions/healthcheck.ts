import { InvalidArgumentError } from '../../../base/errors.ts';
import { parseGoDuration } from '../../../base/go-duration.ts';
import type { HealthcheckConfig } from '../../oci/image-spec.ts';
import { goQuote } from '../text/go-quote.ts';
import { readFlags, type Flags } from './flags.ts';
import { meaning, type Line, type Reader } from './meaning.ts';

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

const DURATIONS = {
  interval: 'Interval',
  timeout: 'Timeout',
  'start-period': 'StartPeriod',
  'start-interval': 'StartInterval',
} as const;
const KINDS = {
  interval: 'text',
  timeout: 'text',
  'start-period': 'text',
  'start-interval': 'text',
  retries: 'text',
} as const;

const SHORTEST_NS = 1e6;
const MOST_RETRIES = 0x7fff_ffff;

export const healthcheck: Reader = (line) => {
  const check = readCheck(line);
  return meaning(() => ({ kind: 'healthcheck', check }), line);
};

function readCheck({ node }: Line): HealthcheckConfig {
  const [word, ...command] = node.args;
  if (word === undefined) throw new InvalidArgumentError('HEALTHCHECK requires at least one argument');
  const kind = word.toUpperCase();
  if (kind === 'NONE') {
    if (command.length > 0) throw new InvalidArgumentError('HEALTHCHECK NONE takes no arguments');
    return { Test: ['NONE'] };
  }
  const flags = readFlags(node.flags, KINDS);
  if (kind !== 'CMD') throw new InvalidArgumentError(`Unknown type ${goQuote(kind)} in HEALTHCHECK (try CMD)`);
  if (command.length === 0) throw new InvalidArgumentError('Missing command after HEALTHCHECK CMD');
  return { Test: [node.isJson ? 'CMD' : 'CMD-SHELL', ...command], ...optionsOf(flags) };
}

function optionsOf(flags: Flags): HealthcheckConfig {
  const options: Mutable<HealthcheckConfig> = {};
  for (const [name, field] of Object.entries(DURATIONS)) {
    const ns = readInterval(name, flags.text(name) ?? '');
    if (ns !== 0) options[field] = ns;
  }
  const retries = readRetries(flags.text('retries') ?? '');
  if (retries !== 0) options.Retries = retries;
  return options;
}

/** 0: as the daemon has it. */
function readRetries(value: string): number {
  if (value === '') return 0;
  if (!/^[+-]?\d+$/.test(value)) {
    throw new InvalidArgumentError(`strconv.ParseInt: parsing ${goQuote(value)}: invalid syntax`);
  }
  const retries = Number(value);
  if (Math.abs(retries) > MOST_RETRIES) {
    throw new InvalidArgumentError(`strconv.ParseInt: parsing ${goQuote(value)}: value out of range`);
  }
  if (retries < 0) throw new InvalidArgumentError(`--retries cannot be negative (${String(retries)})`);
  return retries;
}

/** Nanoseconds; 0: as the daemon has it. */
function readInterval(name: string, value: string): number {
  if (value === '') return 0;
  const ns = parseGoDuration(value);
  if (ns === null) throw new InvalidArgumentError(`time: invalid duration ${goQuote(value)}`);
  if (ns !== 0 && ns < SHORTEST_NS) {
    throw new InvalidArgumentError(`Interval ${goQuote(name)} cannot be less than 1ms`);
  }
  return ns;
}
