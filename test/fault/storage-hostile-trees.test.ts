/** Trees that a container makes so that whoever looks after it fails: each driver measures, packs and removes them. */
import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { messageOf } from '../../src/base/errors.ts';
import { release } from '../../src/engine/storage/driver.ts';
import { run } from '../support/engine.ts';
import { DRIVERS, leftovers, makeTestStorage, obstacleOf, type TestStorage } from '../support/layers.ts';

/** Longer than any path may be that a system call takes. */
const DEEPER_THAN_A_PATH = `'${process.execPath}' -e '
  for (let depth = 0; depth < 40; depth += 1) { fs.mkdirSync("n".repeat(200)); process.chdir("n".repeat(200)); }
  fs.writeFileSync("file", "end\\n")'`;
const MANY_NAMES = `for n in $(seq 1000); do : > "$n"; done; for n in $(seq 20); do ln 1 "l$n"; done`;
const UNREADABLE = `mkdir -p a/b && echo x > a/b/c && chmod 0 a/b/c a/b a; mkfifo pipe; mknod disk b 8 0; mknod null c 1 3
  ln -s / root; ln -s . self; ln -s nowhere/at/all broken; : > -rf; : > "$(printf '\\377\\n\\t')"`;

const TREES: readonly (readonly [
  what: string,
  script: string,
  bytes: { readonly files: number; readonly links: number },
])[] = [
  ['is deeper than a path can say', DEEPER_THAN_A_PATH, { files: 4, links: 0 }],
  ['has many names', MANY_NAMES, { files: 0, links: 0 }],
  ['has what cannot be read, what is no file, and links out of it', UNREADABLE, { files: 2, links: 1 + 1 + 14 }],
];

describe.each(DRIVERS)('on %s a tree that', (name) => {
  const obstacle = obstacleOf(name);
  let storage: TestStorage;

  beforeEach(async (context) => {
    if (obstacle !== null) context.skip(obstacle);
    storage = await makeTestStorage(name);
  });
  afterEach(async () => {
    if (obstacle === null) await storage[Symbol.asyncDispose]();
  });

  it.each(TREES)('%s is measured, packed, committed and removed', async (_what, script, { files, links }) => {
    const { driver, packer } = storage;
    await filled(storage, 'hostile', script);
    expect((await packer.usage('hostile')).sizeBytes).toBe(files + links);
    expect((await packer.changes('hostile', { scaffold: [] })).length).toBeGreaterThan(5);
    let packedBytes = 0;
    for await (const chunk of packer.contents('hostile', {})) packedBytes += chunk.length;
    expect(packedBytes).toBeGreaterThan(1024);
    const capture = { snapshot: 'hostile', parent: null, blobPath: storage.blob(new Uint8Array()), scaffold: [] };
    // A layer cannot be so deep: where it would be unpacked again, that is said.
    const layer = await packer.capture(capture).catch(async (error: unknown) => tooDeep(error));
    // dockerd's overlay2 looks at the layer on the disk, its other drivers add up the archive.
    if (layer !== 'too deep') expect(layer?.sizeBytes).toBe(name === 'overlay2' ? files + links : files);
    await driver.remove('hostile');
    if (layer !== 'too deep' && layer !== null) await storage.layers.remove(layer.chainId);
    expect(await leftovers(storage)).toEqual({ snapshots: [], mounts: [] });
    expect(storage.devices()).toEqual([]);
  });
});

function tooDeep(error: unknown): 'too deep' {
  expect(messageOf(error)).toMatch(/ENAMETOOLONG|name too long/);
  return 'too deep';
}

/** An active snapshot in which a program has run. */
async function filled({ driver, kernel, root }: TestStorage, key: string, script: string): Promise<void> {
  const target = join(root, 'target');
  mkdirSync(target);
  const mounts = await driver.prepare(key, null);
  for (const mount of mounts) kernel.mounts.mount(mount, target);
  try {
    const { code, stderr } = await run('sh', ['-c', `cd '${target}' && ${script}`], {});
    expect(stderr).toBe('');
    expect(code).toBe(0);
  } finally {
    for (const _ of mounts) kernel.mounts.unmount(target);
    rmdirSync(target);
    await release(driver, key);
  }
}
