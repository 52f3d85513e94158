/**
 * A process to run as root of a user namespace (`unshare --user --map-root-user --mount`): layers with marks of overlayfs
 * are unpacked, mounted, changed and packed again. Tells what it sees as one JSON document.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openTestStorage } from './layers.ts';
import { tarOf } from './tar-builder.ts';

const [root] = process.argv.slice(2) as [string];
await using storage = await openTestStorage('overlay2', root);
const below = await storage.layers.unpack({
  blobPath: storage.blob(
    tarOf([
      { name: 'hidden/', type: '5', mode: 0o755 },
      { name: 'hidden/old' },
      { name: 'renewed/', type: '5', mode: 0o755 },
      { name: 'renewed/old' },
      { name: 'gone' },
    ]),
  ),
  parent: null,
  diffId: null,
});
const base = await storage.layers.unpack({
  blobPath: storage.blob(tarOf([{ name: 'hidden/.wh..wh..opq' }, { name: 'hidden/new' }])),
  parent: below.chainId,
  diffId: null,
});
const target = join(root, 'target');
mkdirSync(target);
const onSnapshot = async <T>(key: string, job: () => T): Promise<T> => {
  const [mount] = await storage.driver.mounts(key);
  if (mount === undefined) throw new Error(`${key} has nothing to mount`);
  storage.kernel.mounts.mount(mount, target);
  try {
    return job();
  } finally {
    storage.kernel.mounts.unmount(target);
  }
};
await storage.driver.prepare('container', base.chainId);
const hidden = await onSnapshot('container', () => {
  rmSync(join(target, 'gone'));
  rmSync(join(target, 'renewed'), { recursive: true });
  mkdirSync(join(target, 'renewed'));
  writeFileSync(join(target, 'renewed/new'), '');
  return readdirSync(join(target, 'hidden'));
});
const changes = (await storage.packer.changes('container', { scaffold: [] })).map(
  ({ path, kind }) => `${kind} ${path}`,
);
const blobPath = storage.blob(Buffer.alloc(0));
const layer = await storage.packer.capture({ snapshot: 'container', parent: base.chainId, blobPath, scaffold: [] });
if (layer === null) throw new Error('nothing has changed');
await storage.driver.prepare('next', layer.chainId);
const renewed = await onSnapshot('next', () => [readdirSync(target).sort(), readdirSync(join(target, 'renewed'))]);
const marks = (await storage.driver.status()).find(([name]) => name === 'userxattr')?.[1];
process.stdout.write(JSON.stringify({ marks, hidden, changes: changes.sort(), renewed }));
