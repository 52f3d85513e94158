/** A process that says whether its host has a fast gzip, and compresses a word with what there is. */
import { loadCodecs } from '../../src/engine/kernel/linux/codecs.ts';
import { makeCompressor } from '../../src/engine/storage/layers/compress/compressor.ts';

const codecs = loadCodecs();
const parts: Buffer[] = [];
using compressor = makeCompressor((chunk) => parts.push(Buffer.from(chunk)), codecs);
await compressor.write(Buffer.from('moored'));
await compressor.finish();
process.stdout.write(
  JSON.stringify({ fast: codecs.openInflater() !== null, blob: Buffer.concat(parts).toString('base64') }),
);
