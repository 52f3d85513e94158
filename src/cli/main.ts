import { readFileSync } from 'node:fs';
import { SystemClock } from '../base/clock.ts';
import { objectOf, parseJson, textOf } from './json.ts';
import { runProgram } from './program.ts';

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
