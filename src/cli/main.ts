import { readFileSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import { SystemClock } from '../base/clock.ts';
import { objectOf, parseJson, textOf } from './json.ts';

// Beside the packages and not in /tmp, where somebody else could lay code for root to run; not in the bundle, which has
// next to nothing to win by it.
if (import.meta.filename.endsWith('.ts')) {
  enableCompileCache(join(import.meta.dirname, '../../node_modules/.cache/compile'));
}
const { runProgram } = await import('./program.ts');
const manifest = objectOf(parseJson(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')));

const { stdin, stdout, stderr, env } = process;
// `moor ps | head`: the reader has gone, and nobody is left to be told.
stdout.on('error', () => process.exit(141));
const exitCode = await runProgram(process.argv.slice(2), {
  stdio: { stdin, stdout, stderr },
  env,
  clock: new SystemClock(),
  version: textOf(manifest['version']),
});
// A terminal or pipe on stdin would keep the process alive after the container has ended.
stdin.destroy();
process.exitCode = exitCode;
