import { expect, it } from 'vitest';
import { run } from '../support/engine.ts';

const NODE = new URL('../../bin/node', import.meta.url).pathname;
const LINUX = new URL('../../src/engine/kernel/linux/', import.meta.url).href;

/** Watches a pipe, which gets something to read when the process is about to end. */
const SCRIPT = `
  import { writeSync } from 'node:fs';
  import { watchReadable } from '${LINUX}readiness.ts';
  import { makePipe } from '${LINUX}pipes.ts';
  const { read, write } = makePipe();
  watchReadable(read, () => console.log('called')).unref();
  process.on('exit', () => writeSync(write, 'x'));
`;

it('a watch that still runs does not abort the process at its end', async () => {
  const { code, stdout, stderr } = await run(NODE, ['--input-type=module', '-e', SCRIPT], {});
  expect([code, stdout, stderr]).toEqual([0, '', '']);
});
