/**
 * Side by side with dockerd and podman, in one interleaved run:
 * `bin/node test/bench/bench.ts [--runs N] [--only run,api,exec,…] [--peers dockerd,podman]`.
 *
 * Starts a moored of this checkout and the peers that are installed, each with its own socket, data and network
 * namespace. Nothing here is asserted: figures belong into notes, not into tests. Images and the bus have benches of
 * their own.
 */
import { parseArgs } from 'node:util';
import { busyboxTar, run } from '../support/engine.ts';
import { makeBench } from './cases/bench.ts';
import { bytes } from './cases/bytes.ts';
import { crowds } from './cases/many.ts';
import { networks } from './cases/network.ts';
import { oneByOne } from './cases/one.ts';
import { startDockerd, startOurs, startPodman, type Contender } from './peers.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '9' },
    only: { type: 'string', default: '' },
    peers: { type: 'string', default: 'dockerd' },
  },
});
const STARTS: Readonly<Record<string, () => Promise<Contender>>> = { dockerd: startDockerd, podman: startPodman };

await using contenders = new AsyncDisposableStack();
// Hundreds of containers would stay behind when the time is up.
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    // What is under way fails with the daemons, and must not end this first.
    process.on('uncaughtException', () => undefined);
    void contenders.disposeAsync().finally(() => process.exit(1));
  });
}
const sides: Contender[] = [contenders.use(await startOurs())];
for (const name of values.peers.split(',')) {
  const start = STARTS[name];
  if (start === undefined) throw new Error(`no such peer: ${name}`);
  sides.push(contenders.use(await start()));
}
const image = await busyboxTar();
for (const { socketPath } of sides) {
  await run('docker', ['-H', `unix://${socketPath}`, 'import', '-', 'busybox:latest'], { stdin: image });
}
const bench = makeBench(sides, Number(values.runs), values.only === '' ? [] : values.only.split(','));
await oneByOne(bench);
await crowds(bench);
await bytes(bench);
await networks(bench);
