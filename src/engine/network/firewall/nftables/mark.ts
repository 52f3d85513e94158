import { InvalidArgumentError } from '../../../../base/errors.ts';

/** Reads `--bridge-accept-fwmark`: `0x1/0x3` or `1`, as dockerd does; the mask is all ones when not said. */
export function parseMark(text: string | null): { readonly mark: number; readonly mask: number } | null {
  if (text === null || text === '') return null;
  const parts = text.split('/');
  const [mark, mask = 0xffffffff] = parts.map(numberOf);
  if (parts.length > 2 || mark === undefined) throw invalid(text);
  if (Number.isNaN(mark) || Number.isNaN(mask)) throw invalid(text);
  return { mark, mask };
}

/** Decimal, `0x…` or octal by a leading zero, in 32 bits. */
function numberOf(text: string): number {
  const value = /^0[0-7]+$/.test(text) ? parseInt(text, 8) : /^(?:\d+|0x[0-9a-f]+)$/i.test(text) ? Number(text) : NaN;
  return value <= 0xffffffff ? value : NaN;
}

function invalid(text: string): InvalidArgumentError {
  return new InvalidArgumentError(`invalid firewall mark "${text}" for --bridge-accept-fwmark: want mark or mark/mask`);
}
