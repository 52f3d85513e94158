/**
 * Prometheus' text format, version 0.0.4:
 *
 *   # HELP <name> <text, with \\ and \n>
 *   # TYPE <name> counter|gauge|histogram
 *   <name>{<label>="<value, with \\ \" \n>",…} <value>
 *
 * All lines of one name stand together.
 */

/** Label pairs as they stand between the braces; see {@link labelText}. */
export type LabelText = string;

/** One line. */
export interface Sample {
  readonly labels: LabelText;
  readonly value: number;
  /** `_bucket`, `_sum`, `_count` of a histogram. */
  readonly suffix?: string;
}

/** All samples of one name. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly samples: readonly Sample[];
}

/** Samples in one piece of text: some 20 KB, well under a millisecond. */
const LINES_PER_PIECE = 200;

/** A family as text, in pieces; nothing where there are no samples. */
export function* textOf({ name, help, type, samples }: Family): Generator<string> {
  if (samples.length === 0) return;
  let text = `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n# TYPE ${name} ${type}\n`;
  for (const [index, { labels, value, suffix = '' }] of samples.entries()) {
    text += `${name}${suffix}${labels === '' ? '' : `{${labels}}`} ${numberText(value)}\n`;
    if (index % LINES_PER_PIECE !== LINES_PER_PIECE - 1) continue;
    yield text;
    text = '';
  }
  if (text !== '') yield text;
}

/** Pairs for the braces; empty values are left out, which means the same. */
export function labelText(labels: Readonly<Record<string, string>>): LabelText {
  return Object.entries(labels)
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(',');
}

/** Two label texts as one. */
export function joined(first: LabelText, second: LabelText): LabelText {
  return first === '' || second === '' ? first + second : `${first},${second}`;
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function numberText(value: number): string {
  if (value === Infinity) return '+Inf';
  return value === -Infinity ? '-Inf' : String(value);
}
