const UNIT_FACTORS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
};

/** Bytes from Docker's size texts (`64M`, `1g`, `1.5k`, `512`); null when it is none. */
export function parseByteSize(text: string): number | null {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?) ?([kmgt]?)i?b?$/i.exec(text) ?? [];
  const factor = UNIT_FACTORS[unit.toLowerCase()];
  return number === undefined || factor === undefined ? null : Math.floor(Number(number) * factor);
}
