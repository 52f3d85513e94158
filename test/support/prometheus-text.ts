/** A strict reader of Prometheus' text format 0.0.4: whatever is odd throws, with the line. */

export interface ReadSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Families by name, in order. */
export interface ReadFamily {
  readonly type: string;
  readonly samples: readonly ReadSample[];
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LINE = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (\\S+)$`);
const PAIR = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)/y;
const NUMBER = /^(?:[+-]Inf|NaN|[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/i;
const TYPES = new Set(['counter', 'gauge', 'histogram', 'summary', 'untyped']);

export function readPrometheusText(text: string): ReadonlyMap<string, ReadFamily> {
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  const families = new Map<string, { type: string; samples: ReadSample[] }>();
  const series = new Set<string>();
  let current = '';
  let help = '';
  for (const line of text.slice(0, -1).split('\n')) {
    const comment = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line);
    if (comment?.[1] === 'HELP') {
      help = comment[2] ?? '';
      continue;
    }
    if (comment !== null) {
      current = comment[2] ?? '';
      const type = comment[3] ?? '';
      if (families.has(current)) throw new Error(`family told twice: ${line}`);
      if (help !== current || !TYPES.has(type)) throw new Error(`bad head: ${line}`);
      families.set(current, { type, samples: [] });
      continue;
    }
    const sample = sampleOf(line);
    const family = families.get(current);
    const suffix = sample.name.startsWith(current) ? sample.name.slice(current.length) : null;
    const allowed = family?.type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
    if (family === undefined || suffix === null || !allowed.includes(suffix)) throw new Error(`out of place: ${line}`);
    const key = `${sample.name} ${JSON.stringify(Object.entries(sample.labels).sort())}`;
    if (series.has(key)) throw new Error(`series told twice: ${line}`);
    series.add(key);
    if (family.type === 'counter' && !(sample.value >= 0)) throw new Error(`negative counter: ${line}`);
    family.samples.push(sample);
  }
  for (const [name, { type, samples }] of families) if (type === 'histogram') checkHistogram(name, samples);
  return families;
}

function sampleOf(line: string): ReadSample {
  const [, name = '', pairs, value = ''] = LINE.exec(line) ?? [];
  if (name === '' || !NUMBER.test(value)) throw new Error(`bad sample: ${line}`);
  const labels: Record<string, string> = {};
  if (pairs !== undefined) {
    PAIR.lastIndex = 0;
    while (PAIR.lastIndex < pairs.length) {
      const [, label = '', text = ''] = PAIR.exec(pairs) ?? [];
      if (label === '' || Object.hasOwn(labels, label)) throw new Error(`bad labels: ${line}`);
      labels[label] = text.replaceAll(/\\(.)/g, (_, one: string) => (one === 'n' ? '\n' : one));
    }
  }
  return { name, labels, value: value.endsWith('Inf') ? Infinity : Number(value) };
}

/** Buckets only grow, and the last one counts all. */
function checkHistogram(name: string, samples: readonly ReadSample[]): void {
  const byLabels = Map.groupBy(samples, ({ labels: { le: _, ...rest } }) => JSON.stringify(rest));
  for (const group of byLabels.values()) {
    const buckets = group.filter((sample) => sample.name === `${name}_bucket`).map(({ value }) => value);
    const count = group.find((sample) => sample.name === `${name}_count`)?.value;
    if (buckets.some((value, index) => value < (buckets[index - 1] ?? 0)) || buckets.at(-1) !== count) {
      throw new Error(`${name}: bad buckets ${JSON.stringify(buckets)}`);
    }
  }
}
