import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../src/base/logger.ts';
import { loadConfig } from '../../src/config/config.ts';
import { HOST_EFFECTS, type FileEffects } from '../../src/config/sysconfig-editing.ts';
import { variant } from '../../src/dbus/bus/exported.ts';
import { ConfigEditor } from '../../src/service/config-editor.ts';
import { FakeClock } from '../support/fake-clock.ts';

const BEFORE = '# help\nDOCKER_DEBUG="no"\n';
const AFTER = '# help\nDOCKER_DEBUG="yes"\n';

let directory = '';
let file = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'moored-editor-'));
  file = join(directory, 'docker');
  writeFileSync(file, BEFORE);
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

/** The host's effects; the one asked for n-th fails, once. */
function failingOnce(nth: number): { readonly effects: FileEffects; readonly count: () => number } {
  let count = 0;
  const effects = Object.fromEntries(
    Object.entries(HOST_EFFECTS).map(([name, effect]) => [
      name,
      (...args: never[]) => {
        count += 1;
        if (count === nth) throw Object.assign(new Error(`EIO: ${name}`), { code: 'EIO' });
        return (effect as (...rest: never[]) => unknown)(...args);
      },
    ]),
  ) as unknown as FileEffects;
  return { effects, count: () => count };
}

function open(effects: FileEffects, backupDirectory = join(directory, 'backups')): ConfigEditor {
  const config = loadConfig({ argv: ['--sysconfig-file', file], environment: {}, version: '1' });
  return new ConfigEditor({
    running: () => config,
    reload: () => Promise.resolve(),
    clock: new FakeClock(),
    logger: silentLogger,
    backupDirectory,
    effects,
  });
}

const CHANGE = { DOCKER_DEBUG: variant('s', 'yes') };
const HOW = { apply: 'reload', rollbackAfterMs: 1000, backup: true, uid: 0 } as const;

describe('changing the configuration on a disk that fails', () => {
  it('leaves the file, no backup and nothing that waits, whichever effect fails; and works again', async () => {
    const { effects, count } = failingOnce(0);
    using first = open(effects);
    await first.set(CHANGE, '', { ...HOW, rollbackAfterMs: null });
    expect(readFileSync(file, 'utf8')).toBe(AFTER);
    for (let nth = 1; nth <= count(); nth += 1) {
      writeFileSync(file, BEFORE);
      rmSync(join(directory, 'backups'), { recursive: true, force: true });
      using editor = open(failingOnce(nth).effects);
      await expect(editor.set(CHANGE, '', HOW)).rejects.toMatchObject({ busName: 'org.moored.Engine1.Error.Failed' });
      expect([nth, readFileSync(file, 'utf8'), editor.isWaiting]).toEqual([nth, BEFORE, false]);
      expect(readdirSync(join(directory, 'backups'))).toEqual([]);
      expect(readdirSync(directory).sort()).toEqual(['backups', 'docker']);
      const { checkpoint } = await editor.set(CHANGE, '', HOW);
      expect([readFileSync(file, 'utf8'), editor.isWaiting]).toEqual([AFTER, true]);
      await editor.confirm(checkpoint);
      expect(editor.isWaiting).toBe(false);
    }
  });

  it('changes nothing when the backup cannot be kept', async () => {
    writeFileSync(join(directory, 'in-the-way'), '');
    using editor = open(HOST_EFFECTS, join(directory, 'in-the-way/backups'));
    await expect(editor.set(CHANGE, '', HOW)).rejects.toThrow(`nothing was changed: keep ${file}: not a directory`);
    expect(readFileSync(file, 'utf8')).toBe(BEFORE);
  });
});
