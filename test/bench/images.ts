/**
 * Images side by side with dockerd: `bin/node test/bench/images.ts [--runs N] [--only WORD]`. Figures are printed, nothing
 * is asserted.
 *
 * Whatever writes layers does so in a daemon that was started for it, and nothing is deleted until the case is over: ext4
 * does not give out the inodes of the last minute again, and looking past thousands of them would cost both sides more than
 * the pull itself. CPU is that of the daemon with all its processes.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { TestEngine } from '../support/engine.ts';
import { pushImage, startRegistry } from '../support/registry.ts';
import type { SyntheticImage } from '../support/synthetic-image.ts';
import { bulkImage } from './bulk-image.ts';
import { cli, costOf, interleave, startPeer, treeOf, tryCli, type Cost, type Side } from './side-by-side.ts';

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '5' }, only: { type: 'string', default: '' } },
});
const RUNS = Number(values.runs);
const MIB = 1 << 20;
const IMAGE = 'bench/bulk';

interface Daemon extends Side, AsyncDisposable {}

/** A daemon of each side's kind, which can pull from a registry on loopback. */
const STARTS: Readonly<Record<string, () => Promise<Daemon>>> = {
  moored: async () => {
    const engine = await TestEngine.start();
    return {
      name: 'moored',
      socketPath: engine.socketPath,
      pid: engine.pid,
      [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
    };
  },
  dockerd: () => startPeer('no network'),
};
const [OURS, PEER] = ['moored', 'dockerd'].map((name): Side => ({ name, socketPath: '', pid: 0 })) as [Side, Side];

/** One case, when it is wanted. */
async function scene(title: string, job: (title: string) => Promise<void>): Promise<void> {
  if (title.includes(values.only)) await attempt(title, job);
}

/** Says so when a side cannot do it. */
async function attempt(title: string, job: (title: string) => Promise<void>): Promise<void> {
  try {
    await job(title);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    console.log(
      `${title.padEnd(34)} ${text.includes('not supported by this version') ? 'not offered' : `failed: ${text}`}`,
    );
  }
}

/** Runs a step in a daemon of its own each time. */
async function inFreshDaemons(title: string, step: (side: Side) => Promise<unknown>): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const once = async ({ name }: Side): Promise<Cost> => {
    const side = stack.use(await start(name));
    settle();
    return await costOf(side.pid, () => step(side));
  };
  await interleave(title, [OURS, PEER], once, { runs: RUNS, warmUp: false });
}

/** Two daemons that have something already; each step is on the same two. */
async function inStandingDaemons(
  title: string,
  prepare: (side: Side) => Promise<unknown>,
  step: (side: Side, run: number) => Promise<unknown>,
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const sides = [stack.use(await start('moored')), stack.use(await start('dockerd'))] as const;
  for (const side of sides) await prepare(side);
  let runs = 0;
  const once = async (side: Side): Promise<Cost> => {
    settle();
    runs += 1;
    return await costOf(side.pid, () => step(side, runs));
  };
  await interleave(title, sides, once, { runs: RUNS, warmUp: false });
}

async function start(name: string): Promise<Daemon> {
  const make = STARTS[name];
  if (make === undefined) throw new Error(`no such side: ${name}`);
  return await make();
}

/** What earlier steps left to be written must not be paid by this one. */
function settle(): void {
  spawnSync('sync');
}

async function pull(title: string, image: SyntheticImage): Promise<void> {
  await using registry = await startRegistry();
  await pushImage(registry.host, IMAGE, 'latest', image);
  await inFreshDaemons(title, (side) => cli(side, 'pull', '-q', `${registry.host}/${IMAGE}`));
}

/** Each run goes to an empty registry: one that has a blob is not sent it. */
async function push(title: string, prepare: (side: Side) => Promise<unknown>): Promise<void> {
  await using stack = new AsyncDisposableStack();
  await inStandingDaemons(title, prepare, async (side) => {
    const registry = stack.use(await startRegistry());
    const name = `${registry.host}/${IMAGE}`;
    await cli(side, 'tag', 'bulk', name);
    await cli(side, 'push', '-q', name);
  });
}

async function pullAs(side: Side, host: string): Promise<void> {
  await cli(side, 'pull', '-q', `${host}/${IMAGE}`);
  await cli(side, 'tag', `${host}/${IMAGE}`, 'bulk');
}

/** The largest resident size of each of the daemon's processes since the last look, summed up, in MiB. */
function peakOf(pid: number): number {
  return treeOf(pid).reduce((sum, each) => {
    return sum + Number(/^VmHWM:\s+(\d+)/m.exec(statusOf(each))?.[1] ?? 0) / 1024;
  }, 0);
}

/** Empty for a process that has gone. */
function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${String(pid)}/status`, 'utf8');
  } catch {
    return '';
  }
}

async function memory(title: string): Promise<void> {
  await using registry = await startRegistry();
  await pushImage(registry.host, IMAGE, 'latest', await bulkImage({ layers: 6, totalMib: 1024 }));
  for (const { name } of [OURS, PEER]) {
    await using side = await start(name);
    for (const pid of treeOf(side.pid)) writeFileSync(`/proc/${String(pid)}/clear_refs`, '5');
    const idle = peakOf(side.pid);
    await cli(side, 'pull', '-q', `${registry.host}/${IMAGE}`);
    console.log(
      `${title.padEnd(34)} ${name} ${peakOf(side.pid).toFixed(0)} MiB resident at most (idle ${idle.toFixed(0)})`,
    );
  }
}

const scratch = mkdtempSync(join(tmpdir(), 'bench-images-'));
try {
  await scene('pull 5 layers, 342 MB', async (title) => pull(title, await bulkImage()));
  await scene('pull 40 layers, 342 MB', async (title) => pull(title, await bulkImage({ layers: 40 })));
  await scene('pull 1 layer, 342 MB', async (title) => pull(title, await bulkImage({ layers: 1 })));
  await scene('memory of a 1 GB pull', memory);
  await scene('push of a pulled image', async (title) => {
    await using registry = await startRegistry();
    await pushImage(registry.host, IMAGE, 'latest', await bulkImage());
    await push(title, (side) => pullAs(side, registry.host));
  });
  await scene('save, load and push of a loaded', async () => {
    const archive = join(scratch, 'bulk.tar');
    await using registry = await startRegistry();
    await pushImage(registry.host, IMAGE, 'latest', await bulkImage());
    {
      await using side = await start('dockerd');
      await pullAs(side, registry.host);
      await cli(side, 'save', '-o', archive, 'bulk');
    }
    console.log(`docker archive of ${(statSync(archive).size / MIB).toFixed(0)} MiB, plain layers`);
    await inFreshDaemons('load', (side) => cli(side, 'load', '-q', '-i', archive));
    await attempt('push of a loaded image', (title) => push(title, (side) => cli(side, 'load', '-q', '-i', archive)));
    await attempt('save', (title) =>
      inStandingDaemons(
        title,
        (side) => pullAs(side, registry.host),
        (side) => cli(side, 'save', '-o', join(scratch, 'saved.tar'), 'bulk'),
      ),
    );
  });
  await scene('import', async (title) => {
    const [layer] = (await bulkImage({ layers: 1, format: 'none' })).layers;
    const tar = join(scratch, 'root.tar');
    writeFileSync(tar, layer?.tar ?? '');
    await inFreshDaemons(title, (side) => cli(side, 'import', tar, 'bulk'));
  });
  await scene('push of a built image', async (title) => {
    await push(title, async (side) => {
      const [layer] = (await bulkImage({ layers: 1, format: 'none' })).layers;
      const tar = join(scratch, 'built.tar');
      writeFileSync(tar, layer?.tar ?? '');
      await cli(side, 'import', tar, 'bulk');
    });
  });
  await scene('pull zstd, 5 layers, 342 MB', async (title) => {
    const image = await bulkImage({ format: 'zstd' });
    await using registry = await startRegistry();
    await pushImage(registry.host, IMAGE, 'latest', image);
    await using probe = await start('dockerd');
    const answer = await tryCli(probe, ['pull', '-q', `${registry.host}/${IMAGE}`]);
    if (answer.code === 0) await pull(title, image);
    else console.log(`${title.padEnd(34)} the peer cannot: ${answer.stderr.trim()}`);
  });
} finally {
  rmSync(scratch, { recursive: true });
}
