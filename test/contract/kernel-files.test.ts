import { once } from 'node:events';
import {
  closeSync,
  constants,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LinuxFiles } from '../../src/engine/kernel/linux/files.ts';
import { asFd } from '../../src/engine/kernel/linux/libc.ts';
import { thrownBy } from './kernel.contract.ts';

const isRoot = process.getuid?.() === 0;
const files = new LinuxFiles();
let root = '';

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'kernel-files-'));
});
afterEach(() => rmSync(root, { recursive: true }));

const at = (name: string): string => join(root, name);

describe.skipIf(!isRoot)(isRoot ? 'nodes' : 'nodes (skipped: needs root)', () => {
  it('makes devices, fifos and whiteouts', () => {
    files.mknod(at('null'), constants.S_IFCHR | 0o640, files.device(1, 3));
    files.mknod(at('disk'), constants.S_IFBLK | 0o600, files.device(259, 70_000));
    files.mknod(at('whiteout'), constants.S_IFCHR, files.device(0, 0));
    files.mknod(at('fifo'), constants.S_IFIFO | 0o644, 0n);
    expect(files.splitDevice(lstatSync(at('null')).rdev)).toEqual({ major: 1, minor: 3 });
    expect(files.splitDevice(lstatSync(at('disk'), { bigint: true }).rdev)).toEqual({ major: 259, minor: 70_000 });
    expect(lstatSync(at('null')).mode).toBe(constants.S_IFCHR | 0o640);
    expect(lstatSync(at('whiteout')).rdev).toBe(0);
    expect(lstatSync(at('fifo')).isFIFO()).toBe(true);
    const again = thrownBy(() => files.mknod(at('fifo'), constants.S_IFIFO, 0n));
    expect(again).toMatchObject({ call: 'mknod', code: 'EEXIST', path: at('fifo') });
  });

  it('keeps attributes of the link itself, binary and long', () => {
    writeFileSync(at('file'), '');
    symlinkSync('file', at('link'));
    const capability = Buffer.from('0100000200200000000000000000000000000000', 'hex');
    files.setXattr(at('file'), 'security.capability', capability);
    files.setXattr(at('file'), 'trusted.long', Buffer.alloc(2000, 7));
    files.setXattr(at('file'), 'trusted.empty', Buffer.alloc(0));
    files.setXattr(at('link'), 'trusted.of-link', Buffer.from('l'));
    expect(files.getXattr(at('file'), 'security.capability')).toEqual(capability);
    expect(files.getXattr(at('file'), 'trusted.long')).toEqual(Buffer.alloc(2000, 7));
    expect(files.getXattr(at('file'), 'trusted.empty')).toEqual(Buffer.alloc(0));
    expect(files.getXattr(at('link'), 'security.capability')).toBeNull();
    expect([...files.listXattrs(at('file'))].sort()).toEqual(['security.capability', 'trusted.empty', 'trusted.long']);
    expect(files.listXattrs(at('link'))).toEqual(['trusted.of-link']);
    files.removeXattr(at('file'), 'trusted.long');
    files.removeXattr(at('file'), 'trusted.long');
    expect(files.getXattr(at('file'), 'trusted.long')).toBeNull();
    expect(thrownBy(() => files.getXattr(at('none'), 'trusted.x'))).toMatchObject({ code: 'ENOENT', path: at('none') });
    expect(files.listXattrs('/proc/self/status')).toEqual([]);
  });
});

describe('times and extents', () => {
  it('sets times to the nanosecond, before 1970 too, of the link itself', () => {
    writeFileSync(at('file'), '');
    symlinkSync('file', at('link'));
    files.setTimes(at('file'), 1_700_000_000_123_456_789n, -1_500_000_001n);
    files.setTimes(at('link'), 1n, 2n);
    const file = statSync(at('file'), { bigint: true });
    expect([file.atimeNs, file.mtimeNs]).toEqual([1_700_000_000_123_456_789n, -1_500_000_001n]);
    expect(lstatSync(at('link'), { bigint: true }).mtimeNs).toBe(2n);
  });

  it('finds the data of a sparse file', () => {
    const fd = openSync(at('sparse'), 'w+');
    const mebibyte = 1024 * 1024;
    writeSync(fd, Buffer.alloc(4096, 1), 0, 4096, mebibyte);
    ftruncateSync(fd, 8 * mebibyte);
    expect(files.nextData(fd, 0)).toEqual({ start: mebibyte, end: mebibyte + 4096 });
    expect(files.nextData(fd, mebibyte + 4096)).toBeNull();
    closeSync(fd);
    files.syncFilesystem(root);
  });

  it('has the disk begin with a part of a file, and minds no file that cannot', () => {
    const fd = openSync(at('begun'), 'w+');
    writeSync(fd, Buffer.alloc(64 * 1024, 1));
    expect(() => files.startWriteOut(fd, 4096, 8192)).not.toThrow();
    expect(() => files.startWriteOut(fd, 0, 0)).not.toThrow();
    closeSync(fd);
    expect(readFileSync(at('begun')).equals(Buffer.alloc(64 * 1024, 1))).toBe(true);
    const directory = openSync(root, 'r');
    expect(() => files.startWriteOut(directory, 0, 0)).not.toThrow();
    closeSync(directory);
  });

  it('takes device numbers apart as it puts them together', () => {
    const major = fc.integer({ min: 0, max: 2 ** 32 - 1 });
    fc.assert(
      fc.property(major, major, (high, low) => {
        expect(files.splitDevice(files.device(high, low))).toEqual({ major: high, minor: low });
      }),
    );
    expect(files.device(8, 1)).toBe(0x801n);
  });
});

describe('openBeneath', () => {
  const read = (path: string, flags = constants.O_RDONLY): string => {
    const fd = files.openBeneath(root, path, flags);
    try {
      return readFileSync(fd, 'utf8');
    } finally {
      closeSync(fd);
    }
  };

  it('resolves every path inside the root', () => {
    mkdirSync(at('etc'));
    writeFileSync(at('etc/hostname'), 'inside');
    symlinkSync('/etc/hostname', at('absolute'));
    symlinkSync('../../../../etc/hostname', at('climbing'));
    symlinkSync('/', at('etc/up'));
    for (const path of [
      '/etc/hostname',
      'etc/hostname',
      '../../etc/hostname',
      'absolute',
      'climbing',
      'etc/up/absolute',
    ]) {
      expect(read(path)).toBe('inside');
    }
    const fd = asFd(openSync(root, constants.O_DIRECTORY));
    closeSync(files.openBeneath(fd, 'absolute', constants.O_RDONLY));
    closeSync(fd);
  });

  it('makes files with a mode, follows no last link when told, and refuses magic links', () => {
    closeSync(files.openBeneath(root, 'new', constants.O_CREAT | constants.O_WRONLY | constants.O_EXCL, 0o600));
    expect(statSync(at('new')).mode & 0o777).toBe(0o600);
    symlinkSync('new', at('link'));
    expect(thrownBy(() => read('link', constants.O_RDONLY | constants.O_NOFOLLOW)).code).toBe('ELOOP');
    expect(thrownBy(() => read('missing')).code).toBe('ENOENT');
    const proc = (): number => files.openBeneath('/proc', 'self/root/etc/passwd', constants.O_RDONLY);
    expect(thrownBy(proc).code).toBe('ELOOP');
  });

  it('is not led out while directories are moved about', async () => {
    mkdirSync(at('root/a/b'), { recursive: true });
    mkdirSync(at('outside'));
    writeFileSync(at('outside/secret'), 'secret');
    const swapper = new Worker(SWAPPER, { eval: true, workerData: at('root/a/b') });
    try {
      await once(swapper, 'message');
      for (let round = 0; round < 2000; round++) {
        try {
          closeSync(files.openBeneath(at('root'), 'a/b/../../../outside/secret', constants.O_RDONLY));
          expect.unreachable('a file outside of the root was opened');
        } catch (error) {
          expect(error).toMatchObject({ call: 'openat2', code: expect.stringMatching(/^(ENOENT|EAGAIN)$/) as string });
        }
      }
    } finally {
      await swapper.terminate();
    }
  });
});

/** Moves a directory away and back without end. */
const SWAPPER = `
const { renameSync } = require('node:fs');
const { parentPort, workerData } = require('node:worker_threads');
parentPort.postMessage('ready');
for (;;) { renameSync(workerData, workerData + '2'); renameSync(workerData + '2', workerData); }
`;

describe.skipIf(!isRoot)(isRoot ? 'jail' : 'jail (skipped: needs root)', () => {
  it('is the root of one worker alone, nests, and can be left', async () => {
    // The pool must exist before the first jail, or its threads would be born inside.
    await stat('/');
    mkdirSync(at('jail/inner'), { recursive: true });
    writeFileSync(at('jail/file'), 'jailed');
    symlinkSync('/file', at('jail/inner/link'));
    linkSync(at('jail/file'), at('jail/inner/file'));
    const worker = new Worker(new URL('../support/jailed-worker.ts', import.meta.url), { workerData: at('jail') });
    const [seen] = (await once(worker, 'message')) as [Record<string, unknown>];
    expect(seen).toEqual({
      outer: ['file', 'inner'],
      absolute: 'jailed',
      climbing: ['file', 'inner'],
      inner: ['file', 'link'],
      back: ['file', 'inner'],
      home: readdirSync('/'),
    });
    expect(readdirSync('/')).toEqual(seen['home']);
    expect((await stat('/etc/passwd')).isFile()).toBe(true);
    await once(worker, 'exit');
  });

  it('is refused to the main thread', () => {
    expect(thrownBy(() => files.jail(root))).toMatchObject({ call: 'chroot', code: 'EPERM', path: root });
  });
});
