import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LinuxFiles } from '../../src/engine/kernel/linux/files.ts';
import { createFileEffects } from '../../src/service/compose/file-effects.ts';
import { HOST_EFFECTS, replaceFile, runSysconfigMerge, type FileEffects } from '../../src/config/sysconfig-editing.ts';

let directory = '';
let path = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'moored-replace-'));
  path = join(directory, 'docker');
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

/** The host's effects, of which the n-th fails; `calls` names those that were asked for. */
function failing(nth: number): { readonly effects: FileEffects; readonly calls: string[] } {
  const calls: string[] = [];
  const effects = Object.fromEntries(
    Object.entries(HOST_EFFECTS).map(([name, effect]) => [
      name,
      (...args: never[]) => {
        calls.push(name);
        if (calls.length === nth) throw Object.assign(new Error(`ENOSPC: ${name}`), { code: 'ENOSPC' });
        return (effect as (...rest: never[]) => unknown)(...args);
      },
    ]),
  ) as unknown as FileEffects;
  return { effects, calls };
}

describe('replacing a file', () => {
  it('leaves the old or the new content whichever effect fails, and nothing else in the directory', () => {
    const { effects, calls } = failing(0);
    writeFileSync(path, 'old');
    replaceFile(path, Buffer.from('new'), { effects });
    expect(readFileSync(path, 'utf8')).toBe('new');
    expect(calls).toEqual([
      'readLink',
      'stat',
      'create',
      'write',
      'setOwner',
      'setMode',
      'copyAttributes',
      'sync',
      'close',
      'rename',
      'syncDirectory',
    ]);
    for (const [index, name] of calls.entries()) {
      writeFileSync(path, 'old');
      expect(() => replaceFile(path, Buffer.from('new'), failing(index + 1))).toThrow(`ENOSPC: ${name}`);
      expect(readFileSync(path, 'utf8')).toBe(name === 'syncDirectory' ? 'new' : 'old');
      expect(readdirSync(directory)).toEqual(['docker']);
    }
  });

  it('tells the first error when the cleanup fails too', () => {
    writeFileSync(path, 'old');
    const effects: FileEffects = {
      ...HOST_EFFECTS,
      sync: () => {
        throw new Error('EIO: sync');
      },
      remove: (temporary) => {
        HOST_EFFECTS.remove(temporary);
        throw new Error('EIO: remove');
      },
    };
    expect(() => replaceFile(path, Buffer.from('new'), { effects })).toThrow('EIO: sync');
    expect(readFileSync(path, 'utf8')).toBe('old');
  });

  it('keeps mode and owner', () => {
    writeFileSync(path, 'old');
    chmodSync(path, 0o640);
    if (process.getuid?.() === 0) chownSync(path, 1, 2);
    const { uid, gid } = statSync(path);
    replaceFile(path, Buffer.from('new'));
    expect(statSync(path)).toMatchObject({ uid, gid, mode: 0o100640 });
  });

  it('keeps extended attributes', (context) => {
    const files = new LinuxFiles();
    writeFileSync(path, 'old');
    try {
      files.setXattr(path, 'user.note', Buffer.from('kept'));
    } catch (error) {
      context.skip(`no extended attributes in ${tmpdir()}: ${String(error)}`);
    }
    replaceFile(path, Buffer.from('new'), { effects: createFileEffects() });
    expect(files.getXattr(path, 'user.note')?.toString()).toBe('kept');
    expect(readFileSync(path, 'utf8')).toBe('new');
  });

  it('makes a file that was not there', () => {
    replaceFile(path, Buffer.from('new'));
    expect(readFileSync(path, 'utf8')).toBe('new');
    expect(statSync(path).mode & 0o777).toBe(0o644);
  });

  it.each([
    ['there', true],
    ['missing', false],
  ])('writes to the target of a symbolic link that is %s', (_, exists) => {
    mkdirSync(join(directory, 'elsewhere'));
    symlinkSync('elsewhere/middle', path);
    symlinkSync('target', join(directory, 'elsewhere/middle'));
    if (exists) writeFileSync(join(directory, 'elsewhere/target'), 'old');
    replaceFile(path, Buffer.from('new'));
    expect(readFileSync(join(directory, 'elsewhere/target'), 'utf8')).toBe('new');
    expect(lstatSync(path).isSymbolicLink()).toBe(true);
    expect(readdirSync(join(directory, 'elsewhere')).sort()).toEqual(['middle', 'target']);
  });

  it('refuses links in a circle', () => {
    symlinkSync('docker', path);
    expect(() => replaceFile(path, Buffer.from('new'))).toThrow('ELOOP');
  });
});

describe('moored sysconfig merge', () => {
  const merge = (...argv: string[]): { readonly code: number; readonly errors: readonly string[] } => {
    const errors: string[] = [];
    return { code: runSysconfigMerge(argv, { tell: (line) => errors.push(line) }), errors };
  };
  const template = (): string => {
    const file = join(directory, 'template');
    writeFileSync(file, '# help\nDOCKER_OPTS=""\n');
    return file;
  };

  it('makes the target', () => {
    expect(merge('merge', template(), path)).toEqual({ code: 0, errors: [] });
    expect(readFileSync(path, 'utf8')).toBe('# help\nDOCKER_OPTS=""\n');
  });

  it('leaves a target alone that is right', () => {
    writeFileSync(path, 'DOCKER_OPTS="x"\n');
    const before = statSync(path).ino;
    expect(merge('merge', template(), path)).toEqual({ code: 0, errors: [] });
    expect(statSync(path).ino).toBe(before);
  });

  it.each([
    ['a target that must be mended first', 'DOCKER_OPTS="x\n', /is left as it is: a quote on line 1 is never closed/],
  ])('says why it does not touch %s', (_, content, message) => {
    writeFileSync(path, content);
    const { code, errors } = merge('merge', template(), path);
    expect([code, readFileSync(path, 'utf8')]).toEqual([1, content]);
    expect(errors.join()).toMatch(message);
  });

  it('says that the template is missing, or the target a directory', () => {
    expect(merge('merge', join(directory, 'none'), path)).toEqual({
      code: 1,
      errors: [`${path} is left as it is: open ${join(directory, 'none')}: no such file or directory`],
    });
    expect(merge('merge', template(), directory)).toEqual({
      code: 1,
      errors: [`${directory} is left as it is: open ${directory}: is a directory`],
    });
  });

  it.each([[[]], [['merge']], [['merge', 'a']], [['merge', 'a', 'b', 'c']], [['show', 'a', 'b']]])(
    'explains itself to %j',
    (argv) => {
      expect(merge(...argv)).toEqual({ code: 64, errors: ['Usage:  moored sysconfig merge TEMPLATE TARGET'] });
    },
  );
});
