/**
 * Builds side by side with dockerd's classic builder, and with podman's where it is quick:
 * `bin/node test/bench/build.ts [--runs N] [--mib 200] [--only steps,run,cached,upload,copy,stages]`. Rows 15 and 16 of the
 * performance table, and stages that do not need one another. Figures are printed, nothing is asserted: on a busy
 * machine the minima and the processor time tell more than the medians.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { busyboxTar, run } from '../support/engine.ts';
import { costIn } from './account.ts';
import { startDockerd, startOurs, startPodman, type Contender } from './peers.ts';
import { interleave, median, show, type Cost } from './side-by-side.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '7' },
    mib: { type: 'string', default: '200' },
    only: { type: 'string', default: 'steps,run,cached,upload,copy,stages' },
  },
});
const RUNS = Number(values.runs);
const CASES = new Set(values.only.split(','));
const MIB = Number(values.mib);

const TEN_STEPS = `FROM busybox
ENV A=1
RUN echo one > /1
COPY file /file
RUN echo two > /2
LABEL a=b
RUN echo three > /3
WORKDIR /w
RUN echo four > /4
CMD ["sh"]
`;
/** More than one, so that what a build costs by itself can be taken off. */
const TRUES = 8;
/** Long enough that the steps' own costs, and the disk's, do not count. */
const TURNS = 2_000_000;
const STAGE = `RUN i=0; while [ $i -lt ${String(TURNS)} ]; do i=$((i+1)); done; echo $i > /out`;
const NAMES = ['a', 'b', 'c', 'd'];
const SIDE_BY_SIDE = [
  ...NAMES.flatMap((name) => [`FROM busybox AS ${name}`, STAGE.replace('/out', `/out-${name}`)]),
  'FROM busybox',
  ...NAMES.map((name) => `COPY --from=${name} /out-${name} /`),
].join('\n');
const ONE_BY_ONE = ['FROM busybox', ...NAMES.map((name) => STAGE.replace('/out', `/out-${name}`))].join('\n');

const scratch = mkdtempSync(join(tmpdir(), 'bench-build-'));
try {
  await using contenders = new AsyncDisposableStack();
  const ours = contenders.use(await startOurs());
  const sides = [ours, contenders.use(await startDockerd())];
  const all = [...sides, contenders.use(await startPodman())];
  for (const side of all) await docker(side, ['import', '-', 'busybox'], await busyboxTar());
  const steps = contextOf('steps', TEN_STEPS, { file: 'content' });
  if (CASES.has('steps')) {
    await interleave('10 steps, no cache', all, (side) => build(side, steps, '--no-cache'), { runs: RUNS });
  }
  if (CASES.has('run')) await eachRun(sides);
  if (CASES.has('cached')) {
    await interleave('10 steps, cached', sides, (side) => build(side, steps), { runs: RUNS });
  }
  await uploads(sides);
  if (CASES.has('stages')) await stages(ours);
} finally {
  rmSync(scratch, { recursive: true });
}

/** What one RUN adds to a build. */
async function eachRun(sides: readonly Contender[]): Promise<void> {
  const trues = (count: number): string =>
    ['FROM busybox', ...Array.from({ length: count }, (_, index) => `RUN true ${String(index)}`)].join('\n');
  const [one, many] = [contextOf('true', trues(1), {}), contextOf('trues', trues(1 + TRUES), {})];
  const step = async (side: Contender): Promise<Cost> => {
    const [short, long] = [await build(side, one, '--no-cache'), await build(side, many, '--no-cache')];
    return {
      wallMs: (long.wallMs - short.wallMs) / TRUES,
      cpuMs: ((long.cpuMs ?? 0) - (short.cpuMs ?? 0)) / TRUES,
    };
  };
  await interleave('RUN true', sides, step, { runs: RUNS });
}

async function uploads(sides: readonly Contender[]): Promise<void> {
  if (!CASES.has('upload') && !CASES.has('copy')) return;
  const files = Object.fromEntries(
    Array.from({ length: MIB }, (_, index) => [`f${String(index)}`, randomBytes(1 << 20)]),
  );
  const cases = { upload: 'FROM busybox\nENV A=1\n', copy: 'FROM busybox\nCOPY . /c\n' };
  for (const [name, dockerfile] of Object.entries(cases)) {
    if (!CASES.has(name)) continue;
    const context = contextOf(name, dockerfile, files);
    await interleave(`${values.mib} MiB, ${name}`, sides, (side) => build(side, context, '--no-cache'), {
      runs: Math.max(1, Math.floor(RUNS / 2)),
    });
  }
}

/** How much four stages gain from one another's company, in turns so that drift of the machine cancels. */
async function stages(side: Contender): Promise<void> {
  const kinds = [
    { context: contextOf('beside', SIDE_BY_SIDE, {}), wallMs: [] as number[] },
    { context: contextOf('after', ONE_BY_ONE, {}), wallMs: [] as number[] },
  ] as const;
  for (let i = 0; i < Math.max(1, Math.floor(RUNS / 2)); i += 1) {
    for (const { context, wallMs } of i % 2 === 0 ? kinds : kinds.toReversed()) {
      wallMs.push((await build(side, context, '--no-cache')).wallMs);
    }
  }
  const [beside, after] = kinds.map(({ wallMs }) => ({ median: median(wallMs), least: Math.min(...wallMs) }));
  if (beside === undefined || after === undefined) return;
  console.log(
    `${'four stages'.padEnd(34)} side by side ${show(beside.median)} (min ${show(beside.least)})` +
      `  one by one ${show(after.median)} (min ${show(after.least)})  ${(after.median / beside.median).toFixed(2)}×`,
  );
}

function contextOf(name: string, dockerfile: string, files: Readonly<Record<string, string | Buffer>>): string {
  const directory = join(scratch, name);
  mkdirSync(directory);
  for (const [path, content] of Object.entries({ ...files, Dockerfile: dockerfile })) {
    writeFileSync(join(directory, path), content);
  }
  return directory;
}

async function build(side: Contender, directory: string, ...flags: readonly string[]): Promise<Cost> {
  await run('sync', [], {});
  return await costIn(side, () =>
    docker(side, ['build', '-q', '-t', 'built', '--network', 'none', ...flags, directory]),
  );
}

async function docker(side: Contender, args: readonly string[], stdin?: Buffer): Promise<void> {
  const { code, stderr } = await run('docker', args, {
    env: { ...process.env, DOCKER_HOST: `unix://${side.socketPath}`, DOCKER_BUILDKIT: '0', DOCKER_CLI_HINTS: 'false' },
    ...(stdin === undefined ? {} : { stdin }),
  });
  if (code !== 0) throw new Error(`${side.name}: docker ${args.join(' ')}: ${stderr}`);
}
