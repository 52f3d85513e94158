import { InvalidArgumentError } from '../../../base/errors.ts';
import type { HealthcheckConfig } from '../../oci/image-spec.ts';
import { parseJsonForm, type Instruction } from './lines.ts';

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

const DURATIONS = {
  interval: 'Interval',
  timeout: 'Timeout',
  'start-period': 'StartPeriod',
  'start-interval': 'StartInterval',
} as const;

const UNIT_NS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

const SHORTEST_NS = 1e6;

/** HEALTHCHECK, with Docker's texts for what is wrong with it. */
export function parseHealthcheck({ flags, rest }: Instruction): HealthcheckConfig {
  if (rest === '') throw new InvalidArgumentError('HEALTHCHECK requires at least one argument');
  const [, word = '', command = ''] = /^(\S+)\s*([\s\S]*)$/.exec(rest) ?? [];
  const kind = word.toUpperCase();
  const options = parseFlags(flags);
  if (kind === 'NONE') {
    if (command !== '') throw new InvalidArgumentError('HEALTHCHECK NONE takes no arguments');
    return { Test: ['NONE'] };
  }
  if (kind !== 'CMD') throw new InvalidArgumentError(`Unknown type ${JSON.stringify(kind)} in HEALTHCHECK (try CMD)`);
  const words = parseJsonForm(command);
  if (command === '' || words?.length === 0) {
    throw new InvalidArgumentError('Missing command after HEALTHCHECK CMD');
  }
  return { Test: words === null ? ['CMD-SHELL', command] : ['CMD', ...words], ...options };
}

function parseFlags(flags: readonly string[]): HealthcheckConfig {
  const options: Mutable<HealthcheckConfig> = {};
  for (const flag of flags) {
    const equals = flag.indexOf('=');
    const name = equals < 0 ? flag : flag.slice(0, equals);
    if (!(name in DURATIONS) && name !== 'retries') throw new InvalidArgumentError(`Unknown flag: ${name}`);
    if (equals < 0) throw new InvalidArgumentError(`Missing a value on flag: ${name}`);
    const value = flag.slice(equals + 1);
    if (name === 'retries') options.Retries = parseRetries(value);
    else options[DURATIONS[name as keyof typeof DURATIONS]] = parseInterval(name, value);
  }
  return options;
}

function parseRetries(value: string): number {
  if (!/^[+-]?\d+$/.test(value)) {
    throw new InvalidArgumentError(`strconv.ParseInt: parsing ${JSON.stringify(value)}: invalid syntax`);
  }
  if (Number(value) < 1) throw new InvalidArgumentError(`--retries must be at least 1 (not ${String(Number(value))})`);
  return Number(value);
}

function parseInterval(name: string, value: string): number {
  const ns = parseGoDuration(value);
  if (ns < SHORTEST_NS) throw new InvalidArgumentError(`Interval "${name}" cannot be less than 1ms`);
  return ns;
}

/** Go's `time.ParseDuration`: `1m30s`, `1.5h`. Nanoseconds. */
function parseGoDuration(text: string): number {
  const [, sign, body = ''] = /^([+-]?)(.*)$/s.exec(text) ?? [];
  if (body === '0') return 0;
  const part = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/y;
  let ns = 0;
  let at = 0;
  for (let match = part.exec(body); match !== null; match = part.exec(body)) {
    ns += Number(match[1]) * (UNIT_NS[match[2] ?? ''] ?? 0);
    at = part.lastIndex;
  }
  if (body === '' || at !== body.length) {
    throw new InvalidArgumentError(`time: invalid duration ${JSON.stringify(text)}`);
  }
  return Math.round(sign === '-' ? -ns : ns);
}
