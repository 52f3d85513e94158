/** test/vm/try: see there for its command line. */
import { parseArgs } from 'node:util';
import makeInstalledTree from '../installed-tree.ts';
import { VmRig } from '../vm-rig.ts';
import { CaseBundle } from './bundle.ts';
import { runInGuest } from './run.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    t: { type: 'string', short: 't' },
    c: { type: 'boolean', short: 'c' },
    i: { type: 'boolean', short: 'i' },
  },
});
const obstacle = VmRig.obstacle();
if (obstacle !== null) throw new Error(obstacle);
const installed = values.i === true;
const takeAway = installed ? makeInstalledTree() : undefined;
try {
  process.exitCode = await (values.c === true ? runLines() : runFiles());
} finally {
  takeAway?.();
}

async function runLines(): Promise<number> {
  await using rig = await VmRig.boot({ installed });
  for (const line of positionals) {
    const { code, stderr } = await rig.run(line, { onOutput: (text) => process.stdout.write(text) });
    process.stderr.write(stderr);
    if (code !== 0) return code ?? 1;
  }
  return 0;
}

async function runFiles(): Promise<number> {
  using bundle = await CaseBundle.of(positionals);
  const environment = { MOORED_TEST_GUEST: '1' };
  const only = values.t ?? null;
  const names = new Map(bundle.names(only, environment).map(({ number, name }) => [number, name.join(' > ')]));
  await using rig = await VmRig.boot({ installed });
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const end = await runInGuest(rig, {
    bundle,
    only,
    environment,
    onReport: ({ number, state, text, durationMs }) => {
      counts[state] += 1;
      process.stdout.write(`${state} ${String(Math.round(durationMs))} ms: ${names.get(number) ?? String(number)}\n`);
      if (text !== '') process.stdout.write(`    ${bundle.traced(text).replaceAll('\n', '\n    ')}\n`);
    },
  });
  const open = names.size - counts.passed - counts.failed - counts.skipped;
  process.stdout.write(`${JSON.stringify(counts)}, ${String(open)} not come to; ${end}\n`);
  return counts.failed + open === 0 ? 0 : 1;
}
