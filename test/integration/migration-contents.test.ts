/** All that a container, a layer, a volume and the build cache can hold goes from one storage driver to the next, and is the same. */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LinuxFiles } from '../../src/engine/kernel/linux/files.ts';
import { run } from '../support/engine.ts';
import { LoopDisk } from '../support/loop-disk.ts';
import { MigratingStore } from '../support/migrating-store.ts';
import { portrait } from '../support/random-tree.ts';

const FILES = new LinuxFiles();
const HOLE_BYTES = 40_000_000;
const IN_VOLUMES = ['named', 'anonymous'];
const WAYS = [
  ['overlay2', 'btrfs'],
  ['btrfs', 'vfs'],
  ['vfs', 'overlay2'],
] as const;
/** One whose image stays, and one of which nothing but the cache is left. */
const BUILDS = { kept: 'RUN echo kept > /kept', gone: 'RUN mkdir /gone && chown 7:8 /gone && rm /etc/group' };

const obstacle = LoopDisk.obstacle('btrfs');

describe.skipIf(obstacle !== null)(`a migration${obstacle === null ? '' : ` (skipped: ${obstacle})`}`, () => {
  let disk: LoopDisk;
  let store: MigratingStore;
  let before: Awaited<ReturnType<typeof facts>>;

  beforeAll(async () => {
    disk = await LoopDisk.make('btrfs', { sizeMib: 500, mountOptions: ['commit=1'] });
    store = await MigratingStore.make(join(disk.path, 'data'), 'overlay2');
    const { engine } = store;
    await engine.importBusybox('base');
    const volumes = ['-v', 'named:/named', '-v', '/anonymous'];
    await engine.dockerOk('create', '--name', 'box', ...volumes, 'base', 'sleep', '1000');
    await withRoot('box', (root) => {
      for (const place of ['own', ...IN_VOLUMES]) {
        mkdirSync(join(root, place), { recursive: true });
        fill(join(root, place));
      }
    });
    await engine.dockerOk('commit', 'box', 'made');
    await engine.dockerOk('create', '--name', 'plain', 'made', 'sleep', '1000');
    for (const [name, step] of Object.entries(BUILDS)) await built(name, step);
    await engine.dockerOk('rmi', 'gone');
    before = await facts();
  });
  afterAll(async () => {
    await store[Symbol.asyncDispose]();
    await disk[Symbol.asyncDispose]();
  });

  /** What `look` sees of a container's root directory while it runs. */
  const withRoot = async <T>(name: string, look: (root: string) => T): Promise<T> => {
    const { engine } = store;
    await engine.dockerOk('start', name);
    const pid = await engine.dockerOk('inspect', '-f', '{{.State.Pid}}', name);
    try {
      return look(`/proc/${pid}/root`);
    } finally {
      await engine.dockerOk('kill', name);
    }
  };
  /** How many steps came from the cache. */
  const built = async (name: string, step: string): Promise<number> => {
    const stdin = `FROM base\n${step}\nRUN echo of ${name} > /second\n`;
    const env = { ...store.engine.cliEnvironment, DOCKER_BUILDKIT: '0' };
    const { code, stdout, stderr } = await run('docker', ['build', '-t', name, '--network', 'none', '-'], {
      stdin,
      env,
    });
    if (code !== 0) throw new Error(stderr);
    return stdout.split('---> Using cache').length - 1;
  };
  const facts = async (): Promise<Readonly<Record<string, unknown>>> => {
    const { engine } = store;
    const seen = await withRoot('box', (root) =>
      ['own', ...IN_VOLUMES].map((place) => portrait(join(root, place), FILES)),
    );
    return {
      seen,
      // Of the layer below it.
      plain: await withRoot('plain', (root) => portrait(join(root, 'own'), FILES)),
      isSparse: await withRoot('box', (root) => statSync(join(root, 'own/hole')).blocks * 512 < HOLE_BYTES / 10),
      diff: (await engine.dockerOk('diff', 'box')).split('\n'),
      mounts: await engine.dockerOk('inspect', '-f', '{{range .Mounts}}{{.Name}} {{.Destination}} {{end}}', 'box'),
      volumes: await engine.dockerOk('volume', 'ls', '-q'),
      images: await engine.dockerOk('images', '-a', '--no-trunc', '--format', '{{.ID}} {{.Repository}} {{.Size}}'),
    };
  };

  it('begins with a store that has all of it', () => {
    const [own = []] = before['seen'] as readonly (readonly string[])[];
    const text = own.join('\n');
    for (const word of ['posix_acl_access', 'posix_acl_default', 'security.capability', 'user.note', '"nlink":"3"']) {
      expect(text).toContain(word);
    }
    expect(own.map((line) => (JSON.parse(line) as { readonly mode: string }).mode.slice(0, -4)).toSorted()).toEqual(
      expect.arrayContaining(['1', '2', '6', '10', '12', '14']),
    );
    expect(before['isSparse']).toBe(true);
  });

  it.each(WAYS)('from %s to %s leaves all of it as it was, and the build cache hits', async (from, to) => {
    const { engine } = store;
    await engine.end();
    const { code, report } = await store.migrate(to, '--remove-old');
    expect({ code, failures: report.steps.filter(({ outcome }) => outcome === 'failed') }).toEqual({
      code: 0,
      failures: [],
    });
    expect(store.lyingAt(from)).toEqual([]);
    store.use(to);
    expect(await store.check('--deep')).toEqual([]);
    await engine.boot();
    expect(await facts()).toEqual(before);
    for (const [name, step] of Object.entries(BUILDS)) expect([name, await built(name, step)]).toEqual([name, 2]);
    expect(await engine.dockerOk('run', '--rm', 'gone', 'stat', '-c', '%u:%g', '/gone')).toBe('7:8');
    await engine.dockerOk('rmi', 'gone');
    expect(await store.check()).toEqual([]);
  });

  it('copies layers whose blobs are gone from the trees that there are', async () => {
    const { engine } = store;
    await engine.end();
    rmSync(join(store.dataRoot, 'content/blobs/sha256'), { recursive: true });
    const { code, report } = await store.migrate('btrfs', '--remove-old');
    const layers = report.steps.filter(({ kind }) => kind === 'layer');
    expect([code, new Set(layers.map(({ detail }) => detail))]).toEqual([0, new Set(['copied from overlay2'])]);
    store.use('btrfs');
    await engine.boot();
    expect(await facts()).toEqual(before);
  });
});

/** A file of each kind that tars, copies and overlayfs get wrong most easily. */
function fill(root: string): void {
  const at = (name: string): string => join(root, name);
  const node = (name: string, mode: number, [major, minor]: readonly [number, number] = [0, 0]): void =>
    FILES.mknod(at(name), mode, major === 0 ? 0n : FILES.device(major, minor));
  writeFileSync(at('listed'), 'with an ACL\n');
  FILES.setXattr(at('listed'), 'system.posix_acl_access', acl(0o4));
  mkdirSync(at('inheriting'));
  FILES.setXattr(at('inheriting'), 'system.posix_acl_default', acl(0o6));
  writeFileSync(at('inheriting/child'), 'with what it inherits\n');
  writeFileSync(at('capable'), 'x', { mode: 0o755 });
  FILES.setXattr(at('capable'), 'security.capability', Buffer.from('0100000200200000000000000000000000000000', 'hex'));
  FILES.setXattr(at('capable'), 'user.note', Buffer.from([0, 10, 255]));
  writeFileSync(at('first'), 'one file, three names\n');
  linkSync(at('first'), at('inheriting/second'));
  linkSync(at('first'), at('third'));
  symlinkSync('../nowhere', at('link'));
  linkSync(at('link'), at('link-again'));
  const fd = openSync(at('hole'), 'w');
  ftruncateSync(fd, HOLE_BYTES);
  writeSync(fd, 'in the middle', HOLE_BYTES / 2);
  closeSync(fd);
  node('socket', 0o140755);
  node('pipe', 0o010640);
  node('null', 0o020666, [1, 3]);
  node('disk', 0o060660, [7, 300]);
  execFileSync('chown', ['-h', '3000000:12', at('socket'), at('link'), at('disk'), at('capable')]);
  // Owners take capabilities away.
  FILES.setXattr(at('capable'), 'security.capability', Buffer.from('0100000200200000000000000000000000000000', 'hex'));
  FILES.setTimes(at('first'), 1n, 981_173_106_123_456_789n);
}

/** One that lets user 1234 do this and others nothing: version 2, then tag, permissions and id of each entry (linux/posix_acl_xattr.h). */
function acl(permissions: number): Buffer {
  const undefinedId = 0xffffffff;
  const entries = [
    [0x01, 0o6, undefinedId],
    [0x02, permissions, 1234],
    [0x04, 0o4, undefinedId],
    [0x10, 0o6, undefinedId],
    [0x20, 0, undefinedId],
  ] as const;
  const value = Buffer.alloc(4 + 8 * entries.length);
  value.writeUInt32LE(2, 0);
  for (const [index, [tag, mode, id]] of entries.entries()) {
    value.writeUInt16LE(tag, 4 + 8 * index);
    value.writeUInt16LE(mode, 6 + 8 * index);
    value.writeUInt32LE(id, 8 + 8 * index);
  }
  return value;
}
