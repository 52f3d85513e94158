/** The runner that stands in for vitest in an emulated machine, run on this one. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { CaseBundle, NODE } from '../support/guest-cases/bundle.ts';
import { valuesIn, type CaseReport } from '../support/guest-cases/report.ts';
import { titleOf } from '../support/guest-cases/titles.ts';

const SAMPLE = 'test/support/guest-cases/sample.ts';

async function reportsOf(only: string | null): Promise<readonly (readonly [name: string, report: CaseReport])[]> {
  using bundle = await CaseBundle.of([SAMPLE]);
  const folder = mkdtempSync(join(tmpdir(), 'moored-cases-copy-'));
  try {
    bundle.copyTo(folder);
    const names = new Map(bundle.names(only, {}).map(({ number, name }) => [number, name.join(' > ')]));
    const { stdout, stderr } = spawnSync(NODE, CaseBundle.wordsIn(folder, only), { encoding: 'utf8' });
    expect(stderr).toBe('');
    const reports = valuesIn(stdout).values as readonly CaseReport[];
    return reports.map((report) => [names.get(report.number) ?? '', { ...report, text: bundle.traced(report.text) }]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

it('tells what came of each case', async () => {
  const reports = await reportsOf(null);
  expect(reports.map(([name, { state }]) => `${state} ${name.replace(`${SAMPLE} > `, '')}`)).toEqual([
    'passed sample > runs hooks',
    'failed sample > fails',
    'skipped sample > skips',
    'skipped sample > never runs (skipped: by its name)',
    'passed sample > takes a and 1',
    'passed sample > takes b and 2',
    'passed sample > polls',
    'passed sample > sees rejections',
    'failed broken > cannot run',
  ]);
  expect(reports[1]?.[1].text).toContain(`${SAMPLE}:13:`);
  expect(reports[2]?.[1].text).toBe('for a reason');
  expect(reports[8]?.[1].text).toContain('nothing to run on');
});

it('runs only what is wanted', async () => {
  expect((await reportsOf('sample > (skips|polls)')).map(([, { state }]) => state)).toEqual(['skipped', 'passed']);
});

it('makes titles of rows', () => {
  expect(titleOf('%s is %i, $name, %#', [{ name: 'x' }], 3)).toBe("{ name: 'x' } is %i, x, 3");
});

it('finds whole lines among what else is printed', () => {
  expect(valuesIn('noise\n\u001e{"a":1}\nmore \u001e[2]\n\u001e{"cut')).toEqual({
    values: [{ a: 1 }, [2]],
    rest: '\u001e{"cut',
  });
});
