/** Hosts whose fast gzip is absent, of a version that nobody has looked at, or not what its name says. */
import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadIsal } from '../../src/engine/kernel/linux/isal.ts';
import { run } from '../support/engine.ts';

const NODE = new URL('../../bin/node', import.meta.url).pathname;
const TELL = new URL('../support/tell-codecs.ts', import.meta.url).pathname;
const DIRECTORIES = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64'];

/** The library's own file; null where the host has none. */
const library = DIRECTORIES.filter((directory) => existsSync(directory))
  .flatMap((directory) => readdirSync(directory).map((name) => join(directory, name)))
  .find((path) => /\/libisal\.so\.2\.0\.\d+$/.test(path));
const WHY = library === undefined ? ' (skipped: libisal.so.2 is not installed: apt-get install libisal2)' : '';

describe('a host without ISA-L', () => {
  it('gives no codec', () => {
    expect(loadIsal('libisal-that-nobody-has.so.2')).toBeNull();
  });
});

describe.skipIf(library === undefined)(`another library of its name${WHY}`, () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'codecs-missing-'));
  });
  afterEach(() => {
    rmSync(directory, { recursive: true });
  });

  /** What a process says that finds `fileName` under the library's name first. */
  async function tell(fileName: string): Promise<{ readonly fast: boolean; readonly text: string }> {
    symlinkSync(fileName, join(directory, 'libisal.so.2'));
    const { code, stdout, stderr } = await run(NODE, [TELL], {
      env: { ...process.env, LD_LIBRARY_PATH: directory },
    });
    expect([code, stderr]).toEqual([0, '']);
    const { fast, blob } = JSON.parse(stdout) as { readonly fast: boolean; readonly blob: string };
    return { fast, text: gunzipSync(Buffer.from(blob, 'base64')).toString() };
  }

  it.each([
    ['libisal.so.2.0.30', true],
    ['libisal.so.2.0.24', true],
    ['libisal.so.2.0.23', false],
    ['libisal.so.2.0.33', false],
    ['libisal.so.2.1.30', false],
    ['other.so', false],
  ])('%s: used is %s', async (fileName, fast) => {
    copyFileSync(library ?? '', join(directory, fileName));
    expect(await tell(fileName)).toEqual({ fast, text: 'moored' });
  });

  it('that is no library at all is passed over', async () => {
    writeFileSync(join(directory, 'libisal.so.2.0.30'), 'no library');
    expect((await tell('libisal.so.2.0.30')).text).toBe('moored');
  });
});
