/** Our notion of how a shell reads an assignment, held to the shell of this machine. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseSysconfig } from '../../src/config/sysconfig.ts';
import { editSysconfig } from '../../src/config/sysconfig-editing.ts';
import { readAsShell } from '../../src/config/sysconfig/readers.ts';
import { ENVIRONMENT_FILE_CASES, WORDS_CASES } from '../support/sysconfig-cases.ts';

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'moored-readers-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

/** What `. FILE` makes of the variable, bytes as UTF-8. */
function sourced(text: string, name: string): string {
  const file = join(directory, 'file');
  writeFileSync(file, text);
  return execFileSync('sh', ['-c', `. "$1"; printf %s "$${name}"`, 'sh', file], { env: {}, encoding: 'utf8' });
}

const assignments = ENVIRONMENT_FILE_CASES.filter(({ environment }) => environment !== null)
  .flatMap(({ file }) => parseSysconfig(Buffer.from(file, 'latin1')).assignments)
  .filter(({ raw }) => readAsShell(raw) !== null);

describe('a shell', () => {
  it('reads what we say that it reads', () => {
    expect(assignments.length).toBeGreaterThan(30);
    for (const { name, raw } of assignments) expect([raw, sourced(raw, name)]).toEqual([raw, readAsShell(raw)]);
  });

  it.each([
    ['A=x y', null],
    ['A=x; B=y', null],
    ['A=$HOME', null],
    ['A="`id`"', null],
    ['A=~/x', null],
    ['A=(a b)', null],
    ['A="x', null],
    ['A=x # c', 'x'],
    ['A="x"#c', 'x#c'],
    ["A='a'\\''b'", "a'b"],
    [' A=x', 'x'],
    ['A =x', null],
  ])('%s gives %j', (raw, value) => {
    expect(readAsShell(raw)).toBe(value);
    if (value !== null) expect(sourced(raw, 'A')).toBe(value);
  });

  it('reads back what the editor wrote', () => {
    for (const { value } of WORDS_CASES) {
      const text = editSysconfig(Buffer.from('A="x"\n'), new Map([['A', value]])).toString();
      expect([value, sourced(text, 'A')]).toEqual([value, value]);
    }
  });
});
