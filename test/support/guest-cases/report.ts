/** What the guest tells its host, in lines among whatever else is printed: 0x1e, then JSON. */

/** What came of one case. */
export interface CaseReport {
  /** Its place among all cases of the bundle. */
  readonly number: number;
  readonly state: 'passed' | 'failed' | 'skipped';
  /** The error with its stack, or why it was skipped; may be empty. */
  readonly text: string;
  readonly durationMs: number;
}

export interface CaseName {
  readonly number: number;
  /** File, suites, title. */
  readonly name: readonly string[];
}

const MARK = '\u001e';

export function line(value: unknown): string {
  return `${MARK}${JSON.stringify(value)}\n`;
}

/** The values of whole lines in `text`; what is behind the last whole line comes back as `rest`. */
export function valuesIn(text: string): { readonly values: readonly unknown[]; readonly rest: string } {
  const lines = text.split('\n');
  const rest = lines.pop() ?? '';
  const marked = lines.flatMap((one) => (one.includes(MARK) ? [one.slice(one.indexOf(MARK) + 1)] : []));
  return { values: marked.map((one) => JSON.parse(one) as unknown), rest };
}
