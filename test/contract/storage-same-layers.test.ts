/** The same changes make the same layer on every driver, byte for byte, and the same export. */
import {
  chmodSync,
  chownSync,
  closeSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { FileCalls } from '../../src/engine/kernel/files.ts';
import { release } from '../../src/engine/storage/driver.ts';
import { DRIVERS, makeTestStorage, obstacleOf, type DriverName } from '../support/layers.ts';
import { tarOf, type Member } from '../support/tar-builder.ts';

const NS_PER_SECOND = 1_000_000_000n;
const SCAFFOLD = ['/.dockerenv', '/etc/hosts'];
const CAPABILITY = Buffer.from('0100000200200000000000000000000000000000', 'hex');
const BASE: readonly Member[] = [
  { name: './', type: '5', mode: 0o755, mtime: 4 },
  { name: 'bin/', type: '5', mode: 0o755, mtime: 5 },
  { name: 'bin/sh', data: 'sh', mode: 0o755, mtime: 6 },
  { name: 'bin/ls', type: '1', linkName: 'bin/sh' },
  { name: 'etc/', type: '5', mode: 0o755, mtime: 7 },
  { name: 'etc/passwd', data: 'root', mtime: 8 },
  { name: 'etc/shadow', data: 'x', mode: 0o640, gid: 42, mtime: 8 },
  { name: 'etc/group', data: 'x', mtime: 8 },
  { name: 'srv/', type: '5', mode: 0o755, mtime: 9 },
  { name: 'srv/deep/', type: '5', mode: 0o700, mtime: 9 },
  { name: 'srv/deep/file', data: 'x', mtime: 9 },
  { name: 'srv/link', type: '2', linkName: 'deep', mtime: 9 },
  { name: 'tmp/', type: '5', mode: 0o1777, mtime: 10 },
  { name: 'var/', type: '5', mode: 0o755, mtime: 10 },
  { name: 'var/old', data: 'old', mtime: 10 },
];

/**
 * Everything that a file can be or have, made in a container; all times are set. But for a directory that was deleted and
 * made again: overlay2 says that it is opaque and others what is gone from it, each as dockerd's do.
 */
function change(root: string, files: FileCalls): void {
  const touched = new Set<string>();
  const at = (path: string): Buffer => {
    for (let part = path; part !== ''; part = part.slice(0, Math.max(part.lastIndexOf('/'), 0))) touched.add(part);
    touched.add('');
    return Buffer.from(`${root}/${path}`, 'latin1');
  };
  writeFileSync(at('etc/passwd'), 'root and more');
  chmodSync(at('etc/group'), 0o4600);
  chownSync(at('etc/shadow'), 7, 8);
  writeFileSync(at('etc/hosts'), '');
  files.setXattr(at('etc/passwd'), 'user.note', Buffer.from([0, 255, 10]));
  writeFileSync(at('bin/ping'), 'ping', { mode: 0o755 });
  files.setXattr(at('bin/ping'), 'security.capability', CAPABILITY);
  rmSync(at('var/old'));
  touched.delete('var/old');
  rmSync(at('srv/deep'), { recursive: true });
  touched.delete('srv/deep');
  rmSync(at('srv/link'));
  writeFileSync(at('srv/link'), 'no link any more');
  chownSync(at('tmp'), 1000, 1000);
  mkdirSync(at('opt/empty'), { recursive: true });
  chmodSync(at('opt/empty'), 0o2775);
  writeFileSync(at('opt/one'), 'linked');
  for (const name of ['opt/two', 'opt/three']) linkSync(at('opt/one'), at(name));
  symlinkSync('/nowhere/../at all', at('opt/soft'));
  lchownSync(at('opt/soft'), 5, 6);
  files.mknod(at('opt/null'), 0o020666, files.device(1, 3));
  files.mknod(at('opt/disk'), 0o060640, files.device(8, 300));
  files.mknod(at('opt/pipe'), 0o010600, 0n);
  writeFileSync(at('opt/caf\u00e9'), 'latin');
  writeFileSync(at(`opt/${'long'.repeat(50)}`), 'long');
  const holes = openSync(at('opt/holes'), 'w');
  writeSync(holes, 'middle', 4_000_000);
  ftruncateSync(holes, 9_000_000);
  closeSync(holes);
  for (const [index, path] of [...touched].sort().reverse().entries()) {
    files.setTimes(at(path), 0n, BigInt(1000 + index) * NS_PER_SECOND + 123_456_789n);
  }
}

async function made(name: DriverName): Promise<Readonly<Record<string, unknown>>> {
  await using storage = await makeTestStorage(name);
  const { driver, kernel, layers, packer } = storage;
  const parent = (await layers.unpack({ blobPath: storage.blob(tarOf(BASE)), parent: null, diffId: null })).chainId;
  const target = mkdtempSync(join(storage.root, 'mount-'));
  const mounts = await driver.prepare('container', parent);
  for (const mount of mounts) kernel.mounts.mount(mount, target);
  try {
    change(target, storage.files);
  } finally {
    for (const _ of mounts) kernel.mounts.unmount(target);
    await release(driver, 'container');
    rmdirSync(target);
  }
  const changes = await packer.changes('container', { scaffold: SCAFFOLD });
  const blobPath = storage.blob(Buffer.alloc(0));
  const captured = await packer.capture({ snapshot: 'container', parent, blobPath, scaffold: SCAFFOLD });
  const exported = createHash('sha256');
  for await (const chunk of packer.contents('container', {})) exported.update(chunk);
  expect(storage.devices()).toEqual([]);
  // The size is counted as dockerd's drivers do: overlay2's takes in where links lead.
  const layer = { ...captured, sizeBytes: null };
  return { changes, layer, exported: exported.digest('hex') };
}

const possible = DRIVERS.filter((name) => obstacleOf(name) === null);

describe('one change on every driver', () => {
  for (const name of DRIVERS) {
    if (name === possible[0]) continue;
    it(`is on ${name} what it is on ${possible[0] ?? 'another'}`, async (context) => {
      const obstacle = obstacleOf(name);
      if (obstacle !== null || possible[0] === undefined) return context.skip(obstacle ?? 'no driver can be tried');
      expect(await made(name)).toEqual(await made(possible[0]));
    });
  }
});
