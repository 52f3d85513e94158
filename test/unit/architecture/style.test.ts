import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { styleOffences } from '../../support/style.ts';
import type { SourceFile } from '../../support/style.ts';

const ROOT = join(import.meta.dirname, '../../..');
/** In two halves, so that a search for focused tests does not stop here. */
const FOCUSED = ['test', 'only'].join('.');

test('the repository keeps its style', () => {
  expect(styleOffences(repositoryFiles())).toEqual([]);
});

test('decision notes have numbers of their own', () => {
  const numbers = repositoryFiles().flatMap(({ path }) => /^docs\/decisions\/(\d{4})-/.exec(path)?.[1] ?? []);
  expect(numbers.length).toBeGreaterThan(0);
  expect(numbers).toEqual([...new Set(numbers)]);
});

test.each<[string, SourceFile]>([
  ['A drawer', { path: 'src/engine/utils/text.ts', text: '' }],
  ['A drawer', { path: 'src/base/helpers.ts', text: '' }],
  ['Longer than 400 lines', { path: 'src/base/long.ts', text: 'x\n'.repeat(401) }],
  ['File names are kebab-case', { path: 'src/base/camelCase.ts', text: '' }],
  ['An unfinished mark', { path: 'src/base/a.ts', text: '// TODO: later' }],
  ['The compiler is silenced', { path: 'src/base/a.ts', text: '// @ts-ignore' }],
  ['History in a comment', { path: 'src/base/a.ts', text: '// This used to be a list.' }],
  ['A test file that asserts nothing', { path: 'test/unit/a.test.ts', text: "test('a', () => {});" }],
  ['A focused or to-do test', { path: 'test/unit/a.test.ts', text: `${FOCUSED}('a', () => expect(1).toBe(1));` }],
  ['Larger than 1 MiB', { path: 'docs/big.txt', text: 'x'.repeat(1024 * 1024 + 1) }],
  ['The lock file names a registry', { path: 'package-lock.json', text: '"resolved": "https://…"' }],
  ['A version range', { path: 'package.json', text: '"zod": "^4.0.0"' }],
])('a planted offence is found and cured by name: %s', (cure, file) => {
  expect(styleOffences([file])).toEqual([{ path: file.path, cure: expect.stringContaining(cure) }]);
});

test('an ordinary file offends nothing', () => {
  const text = 'export const shared = 1; // why: the kernel wants it\n';
  expect(styleOffences([{ path: 'src/engine/kernel/linux/pid-fd.ts', text }])).toEqual([]);
});

/** What git tracks or would track, without the planted tree and without what is not text. */
function repositoryFiles(): readonly SourceFile[] {
  const listed = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z'], { cwd: ROOT });
  return listed
    .toString()
    .split('\0')
    .filter((path) => path !== '' && !path.startsWith('test/unit/architecture/'))
    .flatMap((path) => {
      const text = readText(join(ROOT, path));
      return text === null ? [] : [{ path, text }];
    });
}

/** Null for what is listed yet gone from the disk (deleted, not committed) and for links to folders. */
function readText(path: string): string | null {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return null;
  }
}
