/** Images for chaos: they share layers and hold them in different blobs, and each tells its word when it runs. */
import type { LayerFiles, LayerFormat, SyntheticOptions } from './synthetic-image.ts';

export const TAGS = ['gzip', 'zstd', 'plain', 'same', 'whiteouts', 'deep'] as const;

/** One for each of {@link TAGS}. */
export function imagesWith(
  busybox: Buffer,
  random: () => number,
): readonly (readonly [string, readonly LayerFiles[], SyntheticOptions])[] {
  const base: LayerFiles = { 'bin/': '', 'bin/busybox': busybox };
  const shared: LayerFiles = { shared: noise(random, 800_000), gone: 'x', 'data/': '', 'data/gone': 'x' };
  const own = (word: string): LayerFiles => ({ word, [`own-${word}`]: noise(random, 300_000) });
  const options = (word: string, format: LayerFormat, oci = false): SyntheticOptions => ({
    format,
    oci,
    config: { Cmd: ['/bin/busybox', 'cat', '/word'], Labels: { word } },
  });
  const first = [base, shared, own('gzip')];
  return [
    ['gzip', first, options('gzip', 'gzip')],
    // The same image by its id, in other blobs.
    ['same', first, options('gzip', 'zstd', true)],
    ['zstd', [base, shared, own('zstd')], options('zstd', 'zstd', true)],
    ['plain', [base, own('plain')], options('plain', 'none')],
    [
      'whiteouts',
      [base, shared, { 'data/': '', 'data/.wh.gone': '', ...own('whiteouts') }],
      options('whiteouts', 'gzip'),
    ],
    [
      'deep',
      [base, ...Array.from({ length: 12 }, (_, index) => ({ [`step-${String(index)}`]: String(index) })), own('deep')],
      options('deep', 'gzip'),
    ],
  ];
}

/** Bytes that do not compress. */
export function noise(random: () => number, count: number): Buffer {
  const bytes = Buffer.alloc(count);
  for (let at = 0; at + 4 <= count; at += 4) bytes.writeUInt32LE(Math.floor(random() * 2 ** 32), at);
  return bytes;
}

/** mulberry32. */
export function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let word = Math.imul(state ^ (state >>> 15), 1 | state);
    word = (word + Math.imul(word ^ (word >>> 7), 61 | word)) ^ word;
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  };
}
