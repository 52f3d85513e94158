/** Titles of `each`, as vitest makes them: `%s` and its kin, and `$name` of a row that is an object. */
import { format, inspect } from 'node:util';

export function titleOf(template: string, row: readonly unknown[], index: number): string {
  const [first] = row;
  const named = template.replaceAll(/\$([A-Za-z_]\w*)/g, (text, name: string) => {
    if (typeof first !== 'object' || first === null || !(name in first)) return text;
    const value: unknown = Reflect.get(first, name);
    return typeof value === 'string' ? value : inspect(value);
  });
  const numbered = named.replaceAll('%#', String(index));
  const places = numbered.match(/%[sdifjoO]/g)?.length ?? 0;
  return format(numbered, ...row.slice(0, places));
}
