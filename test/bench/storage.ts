/**
 * Storage drivers side by side with dockerd's of the same name: `bin/node test/bench/storage.ts [--runs N]
 * [--drivers overlay2,vfs,btrfs,devicemapper] [--disk ext4|xfs|btrfs]`. Figures are printed, nothing is asserted.
 *
 * Both data roots lie on one loop disk: ext4, or btrfs for its driver. devicemapper needs a kernel that has it: in an
 * emulated machine by `test/vm/try -c '…/bin/node …/test/bench/storage.ts --drivers devicemapper'`. Of each case what is
 * made is removed again outside of what is timed.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { busyboxTar, run } from '../support/engine.ts';
import { LoopDisk, type DiskKind } from '../support/loop-disk.ts';
import { costIn } from './account.ts';
import { api, create } from './api.ts';
import { bulkImage } from './bulk-image.ts';
import { startDockerd, startOurs, type Contender } from './peers.ts';
import { cli, interleave, tryCli, type Cost } from './side-by-side.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '9' },
    drivers: { type: 'string', default: 'overlay2,vfs,btrfs' },
    disk: { type: 'string', default: '' },
    mib: { type: 'string', default: '24' },
  },
});
const RUNS = Number(values.runs);
const DISK_MIB = 3072;
/** As many containers as one measured step makes: one alone is lost in the noise. */
const CROWD = 20;

for (const driver of values.drivers.split(',')) await compare(driver);

async function compare(driver: string): Promise<void> {
  const kind = (values.disk === '' ? (driver === 'btrfs' ? 'btrfs' : 'ext4') : values.disk) as DiskKind;
  await using disk = await LoopDisk.make(kind, { sizeMib: DISK_MIB });
  const flags = (name: string): readonly string[] => {
    const root = join(disk.path, name);
    mkdirSync(root);
    return ['--storage-driver', driver, '--data-root', root];
  };
  await using contenders = new AsyncDisposableStack();
  const sides = [
    contenders.use(await startOurs(...flags('moored'))),
    contenders.use(await startDockerd(...flags('dockerd'))),
  ];
  const image = await busyboxTar();
  for (const side of sides) await must(side, ['import', '-', 'busybox:latest'], image);
  await applies(driver, sides);
  await commits(driver, sides);
  await containers(driver, sides);
}

/** An image of one layer of real files, and one of eight. */
async function applies(driver: string, sides: readonly Contender[]): Promise<void> {
  const [layer] = (await bulkImage({ layers: 1, totalMib: Number(values.mib), format: 'none' })).layers;
  const tar = layer?.tar ?? Buffer.alloc(0);
  await interleave(
    `${driver}: import ${values.mib} MiB`,
    sides,
    (side) => costAndUndo(side, ['import', '-', 'bulk'], tar),
    {
      runs: RUNS,
    },
  );
  for (const side of sides) await must(side, ['import', '-', 'kept'], tar);
}

async function commits(driver: string, sides: readonly Contender[]): Promise<void> {
  const change = 'i=0; while [ $i -lt 200 ]; do echo $i > /f$i; i=$((i+1)); done; head -c 8000000 /dev/zero > /big';
  for (const side of sides)
    await cli(side, 'run', '--name', 'changed', '--network', 'none', 'busybox', 'sh', '-c', change);
  await interleave(
    `${driver}: commit 8 MB, 200 files`,
    sides,
    (side) => costAndUndo(side, ['commit', 'changed', 'bulk']),
    {
      runs: RUNS,
    },
  );
}

/** On an image that has something to copy for drivers that copy. */
async function containers(driver: string, sides: readonly Contender[]): Promise<void> {
  const removal = new Map<Contender, Cost>();
  const body = { Image: 'kept', Cmd: ['true'], HostConfig: { NetworkMode: 'none' } };
  const crowd = driver === 'vfs' ? 3 : CROWD;
  let serial = 0;
  const made = async (side: Contender): Promise<Cost> => {
    serial += 1;
    const names = Array.from({ length: crowd }, (_, index) => `c${String(serial)}-${String(index)}`);
    const ids: string[] = [];
    const cost = await costIn(side, async () => {
      for (const name of names) ids.push(await create(side, name, body));
    });
    const gone = await costIn(side, async () => {
      for (const id of ids) await api(side, 'DELETE', `/containers/${id}`);
    });
    removal.set(side, gone);
    return cost;
  };
  await interleave(`${driver}: create ${String(crowd)}`, sides, made, { runs: RUNS });
  await interleave(
    `${driver}: remove ${String(crowd)}`,
    sides,
    async (side) => {
      await made(side);
      return removal.get(side) ?? { wallMs: NaN, cpuMs: null };
    },
    { runs: RUNS },
  );
  await interleave(
    `${driver}: run --rm true`,
    sides,
    (side) => costIn(side, () => cli(side, 'run', '--rm', '--network', 'none', 'busybox', 'true')),
    { runs: RUNS },
  );
}

/** Costs of a command that makes the image `bulk`, which is removed then. */
async function costAndUndo(side: Contender, args: readonly string[], stdin?: Buffer): Promise<Cost> {
  await run('sync', [], {});
  const cost = await costIn(side, () => must(side, args, stdin));
  await cli(side, 'rmi', 'bulk');
  return cost;
}

async function must(side: Contender, args: readonly string[], stdin?: Buffer): Promise<void> {
  const { code, stderr } = await tryCli(side, args, stdin);
  if (code !== 0) throw new Error(`${side.name}: docker ${args.join(' ')}: ${stderr}`);
}
