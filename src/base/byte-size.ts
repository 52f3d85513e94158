const UNIT_FACTORS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
  p: 1024 ** 5,
};

/** The kernel counts bytes in 64 bits, one of them the sign. */
const TOO_MANY_BYTES = 2 ** 63;

/** Bytes from Docker's size texts (`64M`, `1g`, `1.5k`, `512`); null when it is none, or more than any file system has. */
export function parseByteSize(text: string): number | null {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?$/i.exec(text) ?? [];
  const factor = UNIT_FACTORS[unit.toLowerCase()];
  if (number === undefined || factor === undefined) return null;
  const bytes = Math.floor(Number(number) * factor);
  return bytes < TOO_MANY_BYTES ? bytes : null;
}

const DECIMAL_UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB'] as const;

/** Docker's `units.HumanSize`: powers of 1000, four significant digits (`1.2MB`, `123.4kB`). */
export function humanSize(bytes: number): string {
  let size = bytes;
  let unit = 0;
  while (size >= 1000 && unit < DECIMAL_UNITS.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${String(Number(size.toPrecision(4)))}${DECIMAL_UNITS[unit] ?? ''}`;
}
