/** Rows under a head, columns as wide as their widest cell and three spaces apart, as docker prints them. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(...[head, ...rows].map((row) => (row[column] ?? '').length), title.length),
  );
  const line = (row: readonly string[]): string =>
    row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd((widths[column] ?? 0) + 3))).join('');
  return [head, ...rows].map((row) => `${line(row)}\n`).join('');
}

const AGES: readonly (readonly [limitSeconds: number, unitSeconds: number, name: string])[] = [
  [60, 1, 'second'],
  [3600, 60, 'minute'],
  [48 * 3600, 3600, 'hour'],
  [14 * 86_400, 86_400, 'day'],
  [60 * 86_400, 7 * 86_400, 'week'],
  [2 * 365 * 86_400, 30 * 86_400, 'month'],
];

/** `5 minutes ago`, in docker's steps. */
export function age(seconds: number): string {
  const [, unit, name] = AGES.find(([limit]) => seconds < limit) ?? [0, 365 * 86_400, 'year'];
  if (name === 'second' && seconds < 1) return 'Less than a second ago';
  const count = Math.floor(seconds / unit);
  if (count === 1 && name === 'minute') return 'About a minute ago';
  if (count === 1 && name === 'hour') return 'About an hour ago';
  return `${String(count)} ${name}${count === 1 ? '' : 's'} ago`;
}

const SIZES = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** Bytes in powers of 1000 with three significant digits, as docker prints them: `1.03MB`. */
export function size(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log10(bytes) / 3), SIZES.length - 1);
  return `${String(Number((bytes / 1000 ** power).toPrecision(3)))}${SIZES[power] ?? ''}`;
}

/** The first twelve digits of an id, without its algorithm. */
export function shortId(id: string): string {
  return id.replace(/^sha256:/, '').slice(0, 12);
}
