/**
 * Bad input and what it is answered, as a table: a line is method, path, body (or `-`), headers (or `-`), status and
 * message, with tabs between. `$X` stands for an id that the test knows by the name X; other ids are `ID`.
 *
 * `UPDATE=1` writes what the engine answers now; read the difference before it is committed.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import type { TestEngine } from './engine.ts';

const COLUMNS = 6;

/** A request and its answer: status and message. */
export interface ErrorRow {
  readonly method: string;
  readonly path: string;
  readonly body: string;
  readonly headers: string;
  readonly answer: string;
}

export function readErrorTable(file: URL): readonly ErrorRow[] {
  return readFileSync(file, 'utf8').replace(/\n$/, '').split('\n').map(rowOf);
}

/** What the engine answers to each row, as {@link told} tells it. */
export async function answersOf(
  engine: TestEngine,
  file: URL,
  names: ReadonlyMap<string, string>,
): Promise<readonly string[]> {
  const rows = readErrorTable(file);
  const answers: string[] = [];
  for (const row of rows) answers.push(await ask(engine, row, names));
  if (process.env['UPDATE'] === '1') {
    const lines = rows.map(({ method, path, body, headers }, at) =>
      [method, path, body, headers, answers[at]].join('\t'),
    );
    writeFileSync(file, `${lines.join('\n')}\n`);
  }
  return rows.map((row, at) => told({ ...row, answer: answers[at] ?? '' }));
}

/** A row in one line, for comparison. */
export function told({ method, path, body, answer }: ErrorRow): string {
  return [method, path, body, answer].join(' ');
}

function rowOf(line: string): ErrorRow {
  const cells = line.split('\t');
  if (cells.length !== COLUMNS) throw new Error(`a row has ${String(cells.length)} cells: ${line}`);
  const [method = '', path = '', body = '', headers = '', status = '', message = ''] = cells;
  return { method, path, body, headers, answer: `${status}\t${message}` };
}

async function ask(
  engine: TestEngine,
  { method, path, body, headers }: ErrorRow,
  names: ReadonlyMap<string, string>,
): Promise<string> {
  const filled = (text: string): string =>
    text.replaceAll(/\$([A-Z])\b/g, (whole, name: string) => names.get(name) ?? whole);
  const given = headers === '-' ? {} : (JSON.parse(headers) as Record<string, string>);
  const answer = await engine.api(method, filled(path), body === '-' ? undefined : filled(body), given);
  const message = (answer.json as { readonly message?: unknown } | null | undefined)?.message;
  const said = [...names].reduce(
    (text, [name, id]) => text.replaceAll(id, `$${name}`),
    typeof message === 'string' ? message : answer.body,
  );
  const plain = said
    .trim()
    .replaceAll(/[0-9a-f]{64}/g, 'ID')
    .replaceAll(/"[0-9a-f]{12}"/g, '"ID"')
    .replaceAll('\n', ' ');
  return `${String(answer.status)}\t${plain}`;
}
