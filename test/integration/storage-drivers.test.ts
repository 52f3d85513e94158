/** Every storage driver under a real daemon, on a disk of its own, beside dockerd with the driver of the same name. */
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { StoreReport } from '../../src/engine/check/types.ts';
import { peerAbsence, startDockerPeer } from '../support/docker-peer.ts';
import { busyboxTar, run, TestEngine, type CommandResult } from '../support/engine.ts';
import { LoopDisk, type DiskKind } from '../support/loop-disk.ts';
import { MOORED } from '../support/program.ts';
import { tarOf } from '../support/tar-builder.ts';

/** All kinds of changes, of which each driver has its own idea. */
const CHANGES = `echo changed > /etc/passwd; echo 12345 > /new; ln /new /second; ln -s new /link; mkfifo /pipe
  rm /etc/group /bin/zcat; chmod 700 /tmp; chmod 4755 /bin/busybox; mkdir -p /a/b; echo x > /a/b/c; chown 7:8 /a/b/c
  truncate -s 1M /hole; rm -r /root; mkdir /root; touch -d 2020-01-01 /a/b`;

/** Modes, owners, sizes, names and links; not what is mounted over, and no times of what was made just now. */
const LISTING = `docker export web | tar -tv --numeric-owner --exclude='dev' --exclude='proc/*' --exclude='sys/*' |
  awk '{ $4 = ""; $5 = ""; print }' | LC_ALL=C sort -k 4`;

type Line = readonly string[] | { readonly shell: string } | { readonly copy: string };

const STORY: readonly Line[] = [
  ['create', '--name', 'web', '--network', 'none', 'busybox', 'sh', '-c', CHANGES],
  ['ps', '-as', '--format', '{{.Names}} {{.Size}}'],
  ['start', '-a', 'web'],
  ['ps', '-as', '--format', '{{.Names}} {{.Size}}'],
  ['diff', 'web'],
  ['inspect', '-s', '-f', '{{.SizeRw}} {{.SizeRootFs}} {{.Driver}}', 'web'],
  ['inspect', '-f', '{{.GraphDriver.Name}}{{range $key, $_ := .GraphDriver.Data}} {{$key}}{{end}}', 'web'],
  { copy: 'web:/a' },
  ['ps', '-as', '--format', '{{.Names}} {{.Size}}'],
  ['diff', 'web'],
  { shell: LISTING },
  ['commit', 'web', 'made:1'],
  ['history', '--format', '{{.Size}}', 'made:1'],
  [
    'run',
    '--rm',
    '--network',
    'none',
    'made:1',
    'stat',
    '-c',
    '%a %u:%g %h %s %b %N',
    '/new',
    '/second',
    '/a/b/c',
    '/tmp',
  ],
  ['run', '--rm', '--network', 'none', 'made:1', 'ls', '/', '/etc', '/a', '/a/b'],
  ['system', 'df', '--format', '{{.Type}} {{.TotalCount}} {{.Active}} {{.Size}}'],
  ['rm', 'web'],
  ['rmi', 'made:1', 'busybox'],
  ['system', 'df', '--format', '{{.Type}} {{.TotalCount}} {{.Active}} {{.Size}}'],
];

const DRIVERS: readonly (readonly [name: string, disk: DiskKind])[] = [
  ['overlay2', 'ext4'],
  ['vfs', 'ext4'],
  ['btrfs', 'btrfs'],
];

describe.each(DRIVERS)('%s on %s', (driver, kind) => {
  const obstacle = peerAbsence ?? LoopDisk.obstacle(kind);

  it.skipIf(obstacle !== null)(
    `does what dockerd does${obstacle === null ? '' : ` (skipped: ${obstacle})`}`,
    { timeout: 120_000 },
    async () => {
      await using disk = await LoopDisk.make(kind, { sizeMib: 400 });
      const [ours, theirs] = [join(disk.path, 'ours'), join(disk.path, 'theirs')];
      mkdirSync(theirs);
      const flags = ['--storage-driver', driver, '--bridge', 'none'];
      const [engine, peer] = await Promise.all([
        TestEngine.start(...flags, '--data-root', ours),
        startDockerPeer('--storage-driver', driver, '--data-root', theirs),
      ]);
      await using ends = new AsyncDisposableStack();
      ends.use(engine);
      ends.use(peer);
      await engine.importBusybox();
      expect((await peer.docker(['import', '-', 'busybox:latest'], { stdin: await busyboxTar() })).code).toBe(0);

      for (const line of STORY) {
        const [mine, its] = await Promise.all([
          told(line, engine.socketPath, (args, input) => engine.docker(args, input)),
          told(line, peer.socketPath, (args, input) => peer.docker(args, input)),
        ]);
        expect(mine, JSON.stringify(line)).toEqual(its);
      }
      const places = ['--data-root', ours, '--exec-root', join(engine.root, 'exec'), '--storage-driver', driver];
      const check = ['check', '--json', '--deep', ...places, '-H', `unix://${engine.socketPath}`];
      const { stdout, stderr } = await run(MOORED, check, {});
      expect(stderr).toBe('');
      expect((JSON.parse(stdout) as StoreReport).findings).toEqual([]);
      expect(readdirSync(join(ours, driver)).filter((name) => name !== 'l')).toEqual([]);
    },
  );
});

async function told(
  line: Line,
  socketPath: string,
  docker: (args: readonly string[], input?: { readonly stdin: Buffer }) => Promise<CommandResult>,
): Promise<CommandResult> {
  if ('copy' in line)
    return docker(['cp', '-', line.copy], { stdin: tarOf([{ name: 'copied', data: 'y'.repeat(321) }]) });
  if (!('shell' in line)) return plain(await docker(line), line[0] === 'diff');
  return run('sh', ['-c', line.shell], { env: { ...process.env, DOCKER_HOST: `unix://${socketPath}` } });
}

/** Ids differ, and dockerd lists changes in any order. */
function plain({ code, stdout, stderr }: CommandResult, isUnordered: boolean): CommandResult {
  const text = (all: string): string => all.replace(/[0-9a-f]{64}/g, 'ID');
  const lines = text(stdout).split('\n');
  return { code, stdout: (isUnordered ? lines.toSorted() : lines).join('\n'), stderr: text(stderr) };
}
